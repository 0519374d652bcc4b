//! Real numbers in their shortest form: `10`, not `10.0`.

use serde::Serializer;

/// Whole numbers up to this are exact in a `f64`.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// For `#[serde(serialize_with)]`.
pub(crate) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 && number.abs() <= MAX_EXACT {
        // Whole and within range, as just checked.
        serializer.serialize_i64(*number as i64)
    } else {
        serializer.serialize_f64(*number)
    }
}

/// The same for a number that may be missing.
pub(crate) fn serialize_some<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => serialize(number, serializer),
        None => serializer.serialize_none(),
    }
}
