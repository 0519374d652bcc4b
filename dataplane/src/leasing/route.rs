//! Which control plane to ask next.

use http::Uri;

/// The control planes, and who was said to keep the ledger.
#[derive(Debug)]
pub(super) struct Route {
    configured: Vec<Uri>,
    next: usize,
    /// Where one of them pointed to; it is asked once.
    told: Option<Uri>,
    /// Whether the last one asked was one that another pointed to.
    was_told: bool,
    /// Attempts in vain since the last stream that was welcome.
    in_vain: usize,
}

impl Route {
    /// `configured` is not empty.
    pub(super) fn new(configured: Vec<Uri>) -> Self {
        Self { configured, next: 0, told: None, was_told: false, in_vain: 0 }
    }

    /// The one to ask now.
    pub(super) fn next(&mut self) -> Uri {
        self.in_vain += 1;
        let told = self.told.take();
        self.was_told = told.is_some();
        told.unwrap_or_else(|| {
            let index = self.next % self.configured.len();
            self.next = index + 1;
            self.configured[index].clone()
        })
    }

    /// The one asked last names another. False: there is no use in asking that one at once.
    pub(super) fn point_to(&mut self, address: &str) -> bool {
        let Ok(told) = address.parse::<Uri>() else { return false };
        // Who is not configured must not be worse protected than those who are.
        let encrypted = |uri: &Uri| uri.scheme_str() == Some("https");
        let known =
            self.configured.iter().any(|uri| uri.authority() == told.authority() && uri.scheme() == told.scheme());
        let as_safe = encrypted(&told) || (told.scheme_str() == Some("http") && !self.configured.iter().any(encrypted));
        // Two that point to each other are asked no faster than those that do not answer.
        let good = (known || as_safe) && !self.was_told;
        if good {
            self.told = Some(told);
        }
        good
    }

    /// The one asked last is the right one: it is the first to be asked again.
    pub(super) fn stay(&mut self) {
        (self.in_vain, self.was_told) = (0, false);
        self.next = (self.next + self.configured.len()).saturating_sub(1) % self.configured.len();
    }

    /// Whether all have been asked in vain.
    pub(super) fn is_round_over(&self) -> bool {
        self.in_vain >= self.configured.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(urls: &[&str]) -> Route {
        Route::new(urls.iter().map(|url| url.parse().unwrap()).collect())
    }

    #[test]
    fn all_are_asked_in_turn_and_a_good_one_again_first() {
        let mut route = route(&["http://a:1", "http://b:1"]);
        assert_eq!(route.next(), "http://a:1");
        assert!(!route.is_round_over());
        assert_eq!(route.next(), "http://b:1");
        assert!(route.is_round_over());
        route.stay();
        assert_eq!(route.next(), "http://b:1");
        assert!(!route.is_round_over());
    }

    #[test]
    fn one_that_is_pointed_to_is_asked_once() {
        let mut route = route(&["http://a:1", "http://b:1"]);
        route.next();
        assert!(route.point_to("http://c:1"));
        assert_eq!(route.next(), "http://c:1");
        assert!(!route.point_to("http://a:1"), "no running in circles");
        assert_eq!(route.next(), "http://b:1");
        assert!(!route.point_to(""));
    }

    #[test]
    fn nobody_points_from_tls_to_no_tls() {
        let mut route = route(&["https://a:1"]);
        route.next();
        assert!(!route.point_to("http://b:1"));
        assert!(route.point_to("https://b:1"));
    }
}
