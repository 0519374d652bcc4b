//! What makes a limit valid: the control plane's rules, checked before anything is sent.

use crate::view::limit::LimitRow;

const MAX_CLIENT_ID_BYTES: usize = 256;

/// Checks one limit; numbers come as text so that a fault can quote them. The fault begins with the field's name.
pub(crate) fn limit(client_id: &str, capacity: &str, rate_per_sec: &str) -> Result<LimitRow, String> {
    check_client_id(client_id)?;
    let capacity = number("capacity", capacity, 1.0)?;
    let rate_per_sec = number("rate_per_sec", rate_per_sec, 0.0)?;
    Ok(LimitRow { client_id: client_id.into(), capacity, rate_per_sec })
}

fn check_client_id(client_id: &str) -> Result<(), String> {
    if client_id.is_empty() || client_id.len() > MAX_CLIENT_ID_BYTES {
        return Err(format!("client_id: expected 1 to {MAX_CLIENT_ID_BYTES} bytes, got {}", client_id.len()));
    }
    match client_id.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("client_id: expected printable text, got the control character {}", c.escape_unicode())),
        None => check_visible(client_id),
    }
}

/// As the control plane has it: what cannot be seen would let two clients look alike.
fn check_visible(client_id: &str) -> Result<(), String> {
    let invisible = |c: &char| {
        matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    match client_id.chars().find(invisible) {
        Some(c) => {
            Err(format!("client_id: expected printable text, got the invisible character {}", c.escape_unicode()))
        }
        None => Ok(()),
    }
}

fn number(field: &str, text: &str, least: f64) -> Result<f64, String> {
    match text.parse::<f64>() {
        // Adding 0.0 turns -0.0 into 0.0.
        Ok(number) if number.is_finite() && number >= least => Ok(number + 0.0),
        _ => Err(format!("{field}: expected a finite number of at least {least}, got {}", quoted(text))),
    }
}

/// Text from a file, short and on one line.
fn quoted(text: &str) -> String {
    const SHOWN_CHARS: usize = 40;
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_control_plane_accepts() {
        assert_eq!(limit("a", "1", "-0").unwrap().rate_per_sec.to_string(), "0");
        assert_eq!(limit("é", "5.5", "1e-3").unwrap().rate_per_sec, 0.001);
    }

    #[test]
    fn faults_name_the_field_and_the_value() {
        for (client_id, capacity, rate, fault) in [
            ("", "1", "1", "client_id: expected 1 to 256 bytes, got 0"),
            ("a\0", "1", "1", "client_id: expected printable text, got the control character \\u{0}"),
            ("a\u{202e}", "1", "1", "client_id: expected printable text, got the invisible character \\u{202e}"),
            ("a", "0.5", "1", "capacity: expected a finite number of at least 1, got \"0.5\""),
            ("a", "NaN", "1", "capacity: expected a finite number of at least 1, got \"NaN\""),
            ("a", "1", "1e400", "rate_per_sec: expected a finite number of at least 0, got \"1e400\""),
            ("a", "1", "-1", "rate_per_sec: expected a finite number of at least 0, got \"-1\""),
            ("a", "1", "", "rate_per_sec: expected a finite number of at least 0, got \"\""),
        ] {
            assert_eq!(limit(client_id, capacity, rate).unwrap_err(), fault);
        }
    }
}
