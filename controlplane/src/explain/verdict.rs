//! Why a request would be refused now, in words.

use std::fmt::Write;

use crate::{
    domain::{Limit, LimitScope},
    keeper::Picture,
    ledger::Explanation,
};

/// What of a token may be missing to count as there.
const ROUNDING: f64 = 1e-9;

/// Says what would happen to a request of a client with this limit. `picture`: the ledger, if it is kept here.
pub(crate) fn verdict(limit: Option<Limit>, scope: LimitScope, picture: Option<&Picture>) -> String {
    let Some(limit) = limit else { return "never refused: there is no limit".into() };
    if scope == LimitScope::Local {
        return "each data plane counts on its own: what is left, only they know".into();
    }
    let Some(picture) = picture else { return "only the authority knows who holds tokens: ask there".into() };
    let mut said = match &picture.client {
        _ if picture.is_recovering => {
            "the ledger has just started, and gives out nothing until the data planes it knew are back".into()
        }
        None => "free: bucket full".into(),
        Some(client) => match client.holders.iter().find(|holder| holder.whole) {
            Some(holder) => whole(&holder.replica_id, client.waiting),
            None => shared(client, limit, picture.factor),
        },
    };
    if picture.factor < 1.0 - ROUNDING {
        let aside = (1.0 - picture.factor) * 100.0;
        let _ = write!(said, "; {aside:.0} % of every limit is set aside for data planes that fell silent");
    }
    said
}

fn whole(holder: &str, waiting: usize) -> String {
    let elsewhere = match waiting {
        0 => "a request elsewhere makes it give back what is left",
        _ => "another data plane waits for what is left of it",
    };
    format!("{holder} holds the whole bucket: there a request is refused when that is used up; {elsewhere}")
}

fn shared(client: &Explanation, limit: Limit, factor: f64) -> String {
    let held: f64 = client.holders.iter().map(|holder| holder.tokens).sum();
    if client.available + ROUNDING >= 1.0 {
        return format!("not refused: the ledger has {:.1} tokens to give out", client.available);
    }
    let next = match limit.rate_per_sec() * factor {
        rate if rate > 0.0 => format!("the next one comes in {:.1} s", (1.0 - client.available).max(0.0) / rate),
        _ => "and none are added: the burst is used up".into(),
    };
    if held + ROUNDING >= 1.0 {
        return format!(
            "refused where no tokens are held (data planes hold at most {held:.1}): the ledger has none, {next}"
        );
    }
    format!("refused: over the limit; the ledger has no token, {next}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ledger::Holds;

    fn client(available: f64, whole: bool, tokens: f64) -> Option<Explanation> {
        let lease_left = Duration::from_secs(1);
        let holders = vec![Holds { replica_id: "dp-1".into(), whole, tokens, idle: false, lease_left }];
        Some(Explanation { capacity: 5.0, rate_per_sec: 0.5, available, holders, waiting: 0 })
    }

    fn picture(client: Option<Explanation>) -> Picture {
        Picture { epoch: 1, is_recovering: false, accounts: 0, factor: 1.0, members: Vec::new(), client }
    }

    fn said(picture: Option<Picture>) -> String {
        verdict(Some(Limit::new(5.0, 0.5).unwrap()), LimitScope::Global, picture.as_ref())
    }

    #[test]
    fn each_state_has_its_words() {
        let limit = Limit::new(5.0, 0.0).ok();
        assert_eq!(verdict(None, LimitScope::Global, None), "never refused: there is no limit");
        assert!(verdict(limit, LimitScope::Local, None).starts_with("each data plane counts on its own"));
        assert!(said(None).contains("ask there"));
        assert_eq!(said(Some(picture(None))), "free: bucket full");
        assert!(said(Some(picture(client(0.0, true, 5.0)))).starts_with("dp-1 holds the whole bucket: "));
        assert!(said(Some(picture(client(2.0, false, 1.0)))).contains("not refused: the ledger has 2.0"));
        let empty = picture(client(0.5, false, 0.0));
        assert_eq!(
            said(Some(empty.clone())),
            "refused: over the limit; the ledger has no token, the next one comes in 1.0 s"
        );
        assert!(verdict(limit, LimitScope::Global, Some(&empty)).ends_with("none are added: the burst is used up"));
        assert!(said(Some(picture(client(0.5, false, 3.0)))).contains("data planes hold at most 3.0"));
        let lost = Picture { factor: 0.75, ..empty };
        assert!(said(Some(lost)).ends_with("; 25 % of every limit is set aside for data planes that fell silent"));
    }

    #[test]
    fn a_ledger_that_has_just_started_says_so() {
        assert!(said(Some(Picture { is_recovering: true, ..picture(None) })).contains("has just started"));
    }
}
