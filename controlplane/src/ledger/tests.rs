use super::{
    message::{Ask, Client, Grant, Return},
    *,
};

const MILLI: Duration = Duration::from_millis(1);

fn client(number: u64) -> Client {
    Client { key: number << 50 | 1, capacity: 10.0, rate_per_sec: 1.0, revision: 1 }
}

/// The ledger, and data planes that acknowledge everything at once.
struct Fleet {
    ledger: Ledger,
    now: Duration,
    /// Id, number of the last request, number of the last response.
    replicas: Vec<(MemberId, u64, u64)>,
}

impl Fleet {
    fn new(replicas: usize) -> Self {
        Self::with(replicas, Timing::default())
    }

    fn with(replicas: usize, timing: Timing) -> Self {
        let mut fleet = Self { ledger: Ledger::new(timing, 1, []), now: Duration::ZERO, replicas: vec![] };
        (0..replicas).for_each(|_| fleet.join());
        fleet.settle();
        fleet
    }

    fn join(&mut self) {
        let join = Join { replica_id: format!("r{}", self.replicas.len()), incarnation: 1, ..Join::default() };
        let id = self.ledger.join(join, self.now);
        self.replicas.push((id, 1, 0));
    }

    fn settle(&mut self) {
        for _ in 0..6 {
            let names = self.ledger.to_remember();
            self.ledger.remembered(&names);
            (0..self.replicas.len()).for_each(|replica| drop(self.say(replica, Request::default())));
            self.pass(MILLI);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.ledger.tick(self.now);
    }

    /// Sends a request; returns what the data plane is told.
    fn say(&mut self, replica: usize, request: Request) -> Option<Response> {
        self.now += Timing::default().renew / 8;
        let (id, seq, acked) = &mut self.replicas[replica];
        *seq += 1;
        let request = Request { seq: *seq, acked: *acked, ..request };
        self.ledger.receive(*id, request, self.now).unwrap();
        self.hear(replica)
    }

    fn hear(&mut self, replica: usize) -> Option<Response> {
        let (id, _, acked) = &mut self.replicas[replica];
        let response = self.ledger.response(*id, self.now)?;
        *acked = response.seq;
        Some(response)
    }

    fn ask(&mut self, replica: usize, number: u64) -> Vec<Grant> {
        let ask = Ask { client: client(number), spent: 0.0, tokens: 0.0, want: 4.0 };
        self.say(replica, Request { asks: vec![ask], ..Request::default() }).unwrap().grants
    }

    fn give_back(&mut self, replica: usize, number: u64, tokens: f64, idle: bool) -> Option<Response> {
        let returned = Return { key: client(number).key, tokens, kept: 0.0, idle };
        self.say(replica, Request { returns: vec![returned], ..Request::default() })
    }

    fn shares(&self) -> Vec<f64> {
        self.ledger.members().iter().map(|member| member.share).collect()
    }
}

#[test]
fn a_sole_user_gets_the_whole_bucket_once_nobody_counts_on_a_share() {
    let mut fleet = Fleet::new(3);
    // Two thirds of it the others may still believe to be theirs.
    let [first] = fleet.ask(0, 1)[..] else { panic!("no grant") };
    assert_eq!((first.tokens, first.whole), (3.0, false));
    fleet.settle();
    let seen = fleet.ledger.explain(client(1).key, fleet.now).unwrap();
    assert!(seen.holders[0].whole && seen.available == 0.0);
}

#[test]
fn a_bucket_that_two_want_is_recalled_and_shared() {
    let mut fleet = Fleet::new(2);
    fleet.ask(0, 1);
    fleet.settle();
    assert_eq!(fleet.ask(1, 1), []);
    let recalls = fleet.hear(0).map(|response| response.recalls);
    assert_eq!(recalls, Some(vec![client(1).key]));
    fleet.give_back(0, 1, 6.0, false);
    let [grant] = fleet.hear(1).unwrap().grants[..] else { panic!("no grant") };
    assert_eq!((grant.tokens, grant.whole), (3.0, false));
    assert_eq!(fleet.ledger.explain(client(1).key, fleet.now).unwrap().available, 3.0);
}

#[test]
fn what_comes_back_full_is_free_again() {
    let mut fleet = Fleet::new(2);
    fleet.ask(0, 1);
    fleet.settle();
    let marks = fleet.give_back(0, 1, 10.0, true).and_then(|response| response.marks);
    fleet.pass(MILLI);
    let marks = marks.or_else(|| fleet.hear(0)?.marks).unwrap();
    assert_eq!((fleet.ledger.accounts(), marks.cleared.len()), (0, 1));
}

#[test]
fn nobody_gets_back_more_than_was_given() {
    let mut fleet = Fleet::new(2);
    fleet.ask(0, 1);
    fleet.settle();
    fleet.ask(1, 1);
    fleet.give_back(0, 1, 1e9, false);
    fleet.give_back(0, 1, 1e9, false);
    let seen = fleet.ledger.explain(client(1).key, fleet.now).unwrap();
    assert!(seen.available + seen.holders.iter().map(|holder| holder.tokens).sum::<f64>() <= 10.0);
}

#[test]
fn a_silent_data_plane_is_written_off_when_its_lease_has_surely_ended() {
    let mut fleet = Fleet::new(2);
    fleet.ask(0, 1);
    fleet.settle();
    let silent_from = fleet.now;
    while fleet.ledger.explain(client(1).key, fleet.now).is_some_and(|seen| seen.holders.iter().any(|h| h.whole)) {
        fleet.pass(100 * MILLI);
        fleet.say(1, Request::default());
    }
    assert!(fleet.now - silent_from >= Timing::default().lease);
    assert_eq!(fleet.ledger.factor(), 0.5);
    let [grant] = fleet.ask(1, 1)[..] else { panic!("no answer") };
    assert!(grant.tokens < 1.0, "what it may have spent is spent: {grant:?}");
}

#[test]
fn shares_shrink_before_others_grow_and_only_the_remembered_have_one() {
    let mut fleet = Fleet::new(2);
    assert_eq!(fleet.shares(), [0.5, 0.5]);
    fleet.join();
    fleet.settle();
    assert!(fleet.shares().iter().all(|share| (share - 1.0 / 3.0).abs() < 1e-9));
    fleet.join();
    (0..3).for_each(|replica| drop(fleet.say(replica, Request::default())));
    fleet.pass(MILLI);
    assert_eq!(fleet.shares()[3], 0.0, "not remembered yet");
    for _ in 0..6 {
        assert!(fleet.shares().iter().sum::<f64>() <= 1.0 + 1e-9);
        fleet.settle();
    }
    assert!(fleet.shares().iter().all(|share| (share - 0.25).abs() < 1e-9));
}

#[test]
fn a_message_that_is_not_the_next_one_ends_the_stream() {
    let mut fleet = Fleet::new(1);
    let (id, seq, acked) = fleet.replicas[0];
    let again = Request { seq, acked, ..Request::default() };
    assert_eq!(fleet.ledger.receive(id, again, fleet.now), Err(Fault::OutOfOrder));
    let unheard_of = Request { seq: seq + 1, acked: acked + 1, ..Request::default() };
    assert_eq!(fleet.ledger.receive(id, unheard_of, fleet.now), Err(Fault::OutOfOrder));
}

#[test]
fn a_new_ledger_grants_nothing_until_those_of_the_old_one_are_back() {
    let mut ledger = Ledger::new(Timing::default(), 2, ["a".to_owned(), "b".to_owned()]);
    let join = |id: &str| Join { replica_id: id.into(), incarnation: 1, epoch: 1, share: 0.5, ..Join::default() };
    let a = ledger.join(join("a"), MILLI);
    assert!(ledger.is_recovering() && ledger.response(a, MILLI).is_none());
    let b = ledger.join(join("b"), 2 * MILLI);
    let names = ledger.to_remember();
    ledger.remembered(&names);
    assert!(
        !ledger.is_recovering() && ledger.response(a, 2 * MILLI).is_some() && ledger.response(b, 2 * MILLI).is_some()
    );
}

/// The first has half of a bucket, and the rest, with the word that it is the whole, is on its way to it.
fn with_the_rest_on_its_way() -> Fleet {
    let mut fleet = Fleet::new(2);
    let [first] = fleet.ask(0, 1)[..] else { panic!("no grant") };
    assert_eq!((first.tokens, first.whole), (5.0, false));
    fleet.hear(1);
    fleet.say(1, Request::default());
    fleet
}

#[test]
fn what_comes_back_before_the_whole_bucket_has_arrived_goes_there_again() {
    let mut fleet = with_the_rest_on_its_way();
    let grants = fleet.give_back(0, 1, 5.0, true).unwrap().grants;
    assert!(grants.iter().all(|grant| grant.whole) && grants.len() == 2);
    assert_eq!(grants.iter().map(|grant| grant.tokens).sum::<f64>(), 10.0);
}

#[test]
fn who_gives_up_a_whole_bucket_without_knowing_of_it_is_told_again_once() {
    let mut fleet = with_the_rest_on_its_way();
    // Nothing comes back, but the bucket may be broken up there.
    let grants = fleet.give_back(0, 1, 0.0, true).unwrap().grants;
    assert_eq!(grants.iter().map(|grant| (grant.tokens, grant.whole)).collect::<Vec<_>>(), [(5.0, true), (0.0, true)]);
    let answer = fleet.say(0, Request::default());
    assert!(answer.is_none_or(|response| response.grants.is_empty()));
    fleet.give_back(0, 1, 4.0, true);
    let seen = fleet.ledger.explain(client(1).key, fleet.now).unwrap();
    assert!(!seen.holders[0].whole && seen.available == 4.0, "{seen:?}");
}

#[test]
fn what_is_on_its_way_to_one_that_says_goodbye_is_not_lost() {
    let mut fleet = with_the_rest_on_its_way();
    let returned = Return { key: client(1).key, tokens: 5.0, kept: 0.0, idle: true };
    fleet.say(0, Request { returns: vec![returned], leaving: true, ..Request::default() });
    fleet.replicas.remove(0);
    fleet.pass(MILLI);
    assert_eq!(fleet.ledger.accounts(), 0, "the bucket is full");
}

/// Two data planes, each with ten clients of its own; then the second is not heard of any more.
fn with_one_lost(accounts_per_tick: usize) -> Fleet {
    let mut fleet = Fleet::with(2, Timing { accounts_per_tick, ..Timing::default() });
    (0..20).for_each(|number| _ = fleet.ask(number as usize % 2, number));
    fleet.settle();
    while fleet.ledger.tallies().lost == 0 {
        fleet.say(0, Request::default());
        fleet.pass(100 * MILLI);
    }
    fleet
}

#[test]
fn however_many_accounts_there_are_a_tick_looks_after_so_many() {
    let mut fleet = with_one_lost(2);
    let mut ticks = 0;
    while fleet.ledger.is_busy() {
        let told = |ledger: &Ledger| ledger.entries.values().map(|entry| entry.told).collect::<Vec<_>>();
        let before = told(&fleet.ledger);
        fleet.pass(Duration::ZERO);
        let told_now = told(&fleet.ledger).iter().zip(before).filter(|(now, before)| **now != *before).count();
        assert!(told_now <= 2, "{told_now} at once");
        ticks += 1;
    }
    assert!((10..=20).contains(&ticks), "all in {ticks} ticks");
}

#[test]
fn an_account_says_the_same_whether_it_has_been_told_or_not() {
    let (told, untold) = (with_one_lost(1000), with_one_lost(1));
    assert_eq!(told.now, untold.now);
    for number in 0..20 {
        let key = client(number).key;
        let of = |fleet: &Fleet| fleet.ledger.explain(key, fleet.now).map(|seen| (seen.available, seen.holders.len()));
        assert!(of(&told).is_some() && of(&told) == of(&untold), "{number}: {:?} {:?}", of(&told), of(&untold));
    }
    assert_ne!(told.ledger.is_busy(), untold.ledger.is_busy());
}

#[test]
fn clients_that_only_the_lost_one_knew_are_told_to_another() {
    let mut fleet = with_one_lost(1000);
    let mut remembered = std::collections::BTreeSet::new();
    while fleet.now < Duration::from_secs(8) {
        fleet.pass(50 * MILLI);
        let grants = fleet.say(0, Request::default()).map(|response| response.grants).unwrap_or_default();
        remembered.extend(grants.iter().filter_map(|grant| grant.remember).map(|client| client.key));
    }
    assert_eq!(remembered, (0..20).filter(|number| number % 2 == 1).map(|number| client(number).key).collect());
}

#[test]
fn what_the_missing_have_together_stays_set_aside_until_the_last_says_what_it_has() {
    let old = ["a", "b", "c"].map(str::to_owned);
    let mut ledger = Ledger::new(Timing::default(), 2, old);
    let join = |id: &str, share| Join { replica_id: id.into(), incarnation: 1, epoch: 1, share, ..Join::default() };
    ledger.join(join("a", 0.0), MILLI);
    ledger.tick(Duration::from_secs(3));
    assert_eq!((ledger.is_recovering(), ledger.factor()), (false, 0.0));
    let shares = |ledger: &Ledger| ledger.members().iter().map(|member| member.share).collect::<Vec<_>>();
    ledger.join(join("b", 0.25), Duration::from_secs(3));
    assert_eq!((shares(&ledger), ledger.factor()), (vec![0.0, 0.25, 0.75], 0.0));
    ledger.join(join("c", 0.5), Duration::from_secs(3));
    assert_eq!(ledger.factor(), 0.0);
}

#[test]
fn what_a_lost_one_said_under_a_lease_that_has_ended_does_not_bring_it_back() {
    let mut fleet = Fleet::new(1);
    fleet.pass(Duration::from_secs(3));
    assert_eq!(fleet.ledger.factor(), 0.0);
    fleet.replicas.clear();
    fleet.join();
    fleet.hear(0);
    // Its acknowledgement is on its way for longer than its lease lasts. It may be alone by now.
    fleet.pass(Duration::from_millis(2500));
    fleet.say(0, Request::default());
    assert_eq!(fleet.ledger.factor(), 0.0);
    // It is not: it goes on, and has a new lease.
    fleet.say(0, Request::default());
    fleet.say(0, Request::default());
    assert_eq!(fleet.ledger.factor(), 1.0);
}

#[test]
fn marks_that_a_data_plane_set_by_itself_are_replaced_by_all_of_the_ledgers() {
    for marks_unsure in [false, true] {
        let mut fleet = Fleet::new(1);
        fleet.ask(0, 1);
        fleet.settle();
        fleet.ledger.disconnected(fleet.replicas[0].0);
        let join = Join { replica_id: "r0".into(), incarnation: 1, epoch: 1, marks_unsure, ..Join::default() };
        fleet.replicas[0] = (fleet.ledger.join(join, fleet.now), 1, 0);
        let marks = fleet.hear(0).unwrap().marks;
        assert_eq!(marks.is_some_and(|marks| marks.full && marks.set.len() == 1), marks_unsure);
    }
}

#[test]
fn a_data_plane_with_much_is_heard_out_a_little_at_a_time_before_it_is_answered() {
    let mut fleet = Fleet::with(2, Timing { accounts_per_tick: 2, ..Timing::default() });
    let held = |number| message::Holding { client: client(number), tokens: 0.0, whole: false, known: true };
    let holdings = (0..7).map(held).collect();
    let join = Join { replica_id: "r0".into(), incarnation: 1, epoch: 1, holdings, ..Join::default() };
    fleet.ledger.disconnected(fleet.replicas[0].0);
    fleet.replicas[0] = (fleet.ledger.join(join, fleet.now), 1, 0);
    for accounts in [2, 4, 6] {
        assert_eq!((fleet.ledger.accounts(), fleet.hear(0), fleet.ledger.is_busy()), (accounts, None, true));
        // Others are served meanwhile.
        assert!(fleet.say(1, Request::default()).is_some());
        fleet.pass(MILLI);
    }
    assert!(fleet.hear(0).is_some_and(|response| response.welcome.is_some()));
    assert_eq!(fleet.ledger.accounts(), 7);
}

#[test]
fn one_that_is_lost_before_it_is_heard_out_is_not_heard_any_more() {
    let mut fleet = Fleet::with(2, Timing { accounts_per_tick: 2, ..Timing::default() });
    let held = |number| message::Holding { client: client(number), tokens: 0.0, whole: false, known: false };
    let holdings = (0..7).map(held).collect();
    let join = Join { replica_id: "r0".into(), incarnation: 1, epoch: 1, holdings, ..Join::default() };
    let id = fleet.replicas[0].0;
    fleet.ledger.disconnected(id);
    fleet.now = fleet.ledger.members[&id].lease_floor - Duration::from_nanos(1);
    fleet.ledger.join(join, fleet.now);
    let before = (fleet.ledger.accounts(), fleet.ledger.tallies().lost);
    fleet.pass(MILLI);
    fleet.pass(MILLI);
    assert!(fleet.ledger.tallies().lost > before.1);
    assert_eq!(fleet.ledger.accounts(), before.0, "it is not looked at what it had to say");
}

#[test]
fn one_whose_stream_the_ledger_ended_is_lost_and_not_gone() {
    for (out_of_order, factor) in [(true, 0.5), (false, 1.0)] {
        let mut fleet = Fleet::new(2);
        let id = fleet.replicas[0].0;
        if out_of_order {
            assert_eq!(fleet.ledger.receive(id, Request::default(), fleet.now), Err(Fault::OutOfOrder));
        }
        fleet.ledger.disconnected(id);
        for _ in 0..30 {
            fleet.pass(100 * MILLI);
            fleet.say(1, Request::default());
        }
        assert_eq!(fleet.ledger.factor(), factor);
    }
}

#[test]
fn a_join_alone_makes_no_lease_longer() {
    let mut fleet = Fleet::new(2);
    let silent_from = fleet.now;
    // It was long on its way: nothing has been heard of since.
    fleet.pass(1_500 * MILLI);
    fleet.ledger.disconnected(fleet.replicas[0].0);
    let join = Join { replica_id: "r0".into(), incarnation: 1, epoch: 1, share: 0.5, ..Join::default() };
    fleet.replicas[0] = (fleet.ledger.join(join, fleet.now), 1, 0);
    fleet.hear(0);
    while fleet.ledger.tallies().lost == 0 {
        fleet.pass(10 * MILLI);
        fleet.say(1, Request::default());
    }
    assert!(fleet.now - silent_from <= Timing::default().lease + 100 * MILLI, "{:?}", fleet.now - silent_from);
}
