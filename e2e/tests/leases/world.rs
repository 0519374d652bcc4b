//! The ledger, data planes, and the network between them, in virtual time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use balancer_proto::v1::{LeaseRequest, LeaseResponse};
use controlplane::ledger::{Ledger, MemberId, Timing};
use dataplane::{lease::Saved, limit::Limit};
use fastrand::Rng;

use crate::{client::Client, replica::Replica};

/// Virtual time moves in steps of this.
pub(crate) const STEP_NS: u64 = 2_000_000;

/// What is on its way.
enum Message {
    Request(LeaseRequest),
    Response(Box<LeaseResponse>),
    /// The stream's end: another has the data plane's name.
    Namesake,
    /// The stream's end.
    End,
}

/// One direction of a stream.
#[derive(Default)]
struct Queue(VecDeque<(u64, Message)>);

/// A stream between a data plane and the ledger.
#[derive(Default)]
struct Link {
    up: Queue,
    down: Queue,
    /// The ledger's end of it.
    member: Option<MemberId>,
    /// The data plane's end stands.
    open: bool,
    /// Nothing gets through until then.
    cut_until_ns: u64,
    /// When the data plane tries again.
    retry_at_ns: u64,
    /// Changed limits that are on their way to it: when they arrive, and of which client.
    limits: Vec<(u64, usize)>,
}

/// How the network behaves.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) delay_ns: u64,
    /// One message in so many is lost, doubled or overtaken; 0: none.
    pub(crate) mishap: u32,
}

/// Everything.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now_ns: u64,
    pub(crate) weather: Weather,
    pub(crate) clients: Vec<Client>,
    pub(crate) replicas: Vec<Replica>,
    links: Vec<Link>,
    ledger: Option<(Ledger, u64)>,
    epoch: u64,
    /// What the database knows of data planes.
    memory: BTreeSet<String>,
    /// What is on the disks of data planes that do not run.
    disks: BTreeMap<String, Saved>,
    names: u64,
    /// Worst of all clients so far, and what it was about.
    pub(crate) worst: f64,
}

impl World {
    pub(crate) fn new(seed: u64, weather: Weather, clients: Vec<Client>) -> Self {
        let mut world = Self {
            rng: Rng::with_seed(seed),
            now_ns: 0,
            weather,
            clients,
            replicas: Vec::new(),
            links: Vec::new(),
            ledger: None,
            epoch: 0,
            memory: BTreeSet::new(),
            disks: BTreeMap::new(),
            names: 0,
            worst: 0.0,
        };
        world.start_ledger();
        world
    }

    pub(crate) fn start_ledger(&mut self) {
        self.epoch += 1;
        // News reaches accounts late, as where there are millions of them.
        let timing = Timing { accounts_per_tick: 1, ..Timing::default() };
        let ledger = Ledger::new(timing, self.epoch, self.memory.iter().cloned());
        self.ledger = Some((ledger, self.now_ns));
    }

    pub(crate) fn crash_ledger(&mut self) {
        self.ledger = None;
        (0..self.links.len()).for_each(|index| self.end_from_ledger(index));
    }

    pub(crate) fn ledger_is_up(&self) -> bool {
        self.ledger.is_some()
    }

    pub(crate) fn add_replica(&mut self) -> usize {
        self.names += 1;
        let id = format!("replica-{}", self.names);
        self.enter(id)
    }

    fn enter(&mut self, id: String) -> usize {
        let (incarnation, offset) = (self.rng.u64(1..), self.rng.u64(0..1 << 40));
        let saved = self.disks.get(&id).copied().unwrap_or_default();
        let clients = self.clients.iter().map(|client| client.known).collect();
        self.replicas.push(Replica::new(id, incarnation, saved, clients, offset, self.now_ns));
        self.links.push(Link::default());
        self.replicas.len() - 1
    }

    /// The process is gone; its kernel says so to the other side.
    pub(crate) fn crash_replica(&mut self, index: usize) -> String {
        let replica = self.replicas.remove(index);
        let link = self.links.remove(index);
        if let (Some(id), Some((ledger, _))) = (link.member, &mut self.ledger) {
            ledger.disconnected(id);
        }
        self.disks.insert(replica.id.clone(), replica.saved);
        replica.id
    }

    /// Another comes with a copy of the state that this one had saved.
    pub(crate) fn copy(&mut self, index: usize) {
        let Replica { id, saved, .. } = &self.replicas[index];
        let (id, saved) = (id.clone(), *saved);
        self.disks.insert(id.clone(), saved);
        self.enter(id);
    }

    /// It comes back with the state it had saved.
    pub(crate) fn revive(&mut self, id: String) {
        self.enter(id);
    }

    /// It stops as it should: what is on its way arrives.
    pub(crate) fn stop_replica(&mut self, index: usize) {
        let now = self.now_ns;
        let requests = self.replicas[index].leave(now);
        while let Some((_, message)) = self.links[index].up.0.pop_front() {
            self.arrive_up(index, message);
        }
        requests.into_iter().for_each(|request| self.arrive_up(index, Message::Request(request)));
        self.crash_replica(index);
    }

    /// It begins to stop in order; it is gone once its last word has arrived, or its stream is broken.
    pub(crate) fn begin_to_stop(&mut self, index: usize) {
        let now = self.now_ns;
        self.replicas[index].begin_to_leave(now);
    }

    fn remove_those_that_left(&mut self) {
        for index in (0..self.replicas.len()).rev() {
            let (replica, link) = (&self.replicas[index], &self.links[index]);
            if replica.is_leaving() && (!link.open || (replica.has_left() && link.up.0.is_empty())) {
                self.crash_replica(index);
            }
        }
    }

    pub(crate) fn cut(&mut self, index: usize, for_ns: u64) {
        self.links[index].cut_until_ns = self.now_ns + for_ns;
    }

    pub(crate) fn is_cut(&self, index: usize) -> bool {
        self.links[index].cut_until_ns > self.now_ns
    }

    /// Whether the data plane has its lease, goes on, and the ledger is there.
    pub(crate) fn is_settled(&self, index: usize) -> bool {
        let replica = &self.replicas[index];
        replica.lease.is_welcome() && !replica.is_leaving() && !self.is_cut(index) && self.ledger.is_some()
    }

    /// Whether it has its share of every limit, from the ledger.
    pub(crate) fn has_share(&self, index: usize) -> bool {
        self.is_settled(index) && self.replicas[index].table.terms().share > 0.3
    }

    /// A client has another limit; data planes hear of it one after another.
    pub(crate) fn change_limit(&mut self, client: usize, limit: Limit, rng: &mut Rng) {
        self.clients[client].change(limit, self.now_ns);
        for link in &mut self.links {
            link.limits.push((self.now_ns + rng.u64(0..300_000_000), client));
        }
    }

    fn deliver_limits(&mut self, index: usize) {
        if self.is_cut(index) {
            return;
        }
        let now = self.now_ns;
        for (_, client) in self.links[index].limits.extract_if(.., |(at, _)| *at <= now) {
            self.replicas[index].retune(client, self.clients[client].known, now);
        }
    }

    fn settle_limits(&mut self) {
        for (number, client) in self.clients.iter_mut().enumerate() {
            let all_know = self.replicas.iter().all(|replica| replica.clients[number] == client.known);
            client.settle(all_know, self.replicas.len(), self.now_ns);
        }
    }

    /// Whether the ledger has a stream to it.
    pub(crate) fn is_joined(&self, index: usize) -> bool {
        self.links[index].member.is_some()
    }

    /// A message to the ledger is lost; false: there is none on its way.
    pub(crate) fn lose_message(&mut self, index: usize) -> bool {
        self.links[index].up.0.pop_front().is_some()
    }

    /// The stream breaks for both sides.
    pub(crate) fn break_stream(&mut self, index: usize) {
        self.end_from_ledger(index);
        self.end_from_replica(index);
    }

    pub(crate) fn request(&mut self, replica: usize, client: usize) -> bool {
        let now = self.now_ns;
        if self.replicas[replica].is_leaving() {
            return false;
        }
        let admitted = self.replicas[replica].request(client, now);
        if admitted {
            self.admit(client);
        }
        admitted
    }

    fn admit(&mut self, client: usize) {
        let now = self.now_ns;
        self.clients[client].admit(now);
        self.worst = self.worst.max(self.clients[client].excess());
        if std::env::var("LEASE_TRACE").is_ok() && self.clients[client].excess() > 1e-3 {
            eprintln!("{} EXCESS {} {}", self.now_ns / 1000000, client, self.clients[client].excess());
            std::process::exit(3);
        }
    }

    /// A step of time.
    pub(crate) fn step(&mut self) {
        self.pass(STEP_NS);
    }

    /// So much time passes, and then everyone looks at what has come.
    pub(crate) fn pass(&mut self, ns: u64) {
        self.now_ns += ns;
        for index in 0..self.replicas.len() {
            self.deliver(index);
            self.deliver_limits(index);
            self.tick_replica(index);
        }
        self.settle_limits();
        self.tick_ledger();
        self.remove_those_that_left();
    }

    fn tick_replica(&mut self, index: usize) {
        let now = self.now_ns;
        if !self.links[index].open && self.links[index].retry_at_ns <= now {
            self.connect(index);
        }
        match self.replicas[index].tick(now) {
            Ok(in_vain) => self.decide(index, &in_vain),
            Err(_) => {
                self.end_from_replica(index);
                self.decide(index, &[]);
            }
        }
        if self.links[index].open
            && let Some(request) = self.replicas[index].outgoing(now)
        {
            self.send_up(index, Message::Request(request));
        }
    }

    fn connect(&mut self, index: usize) {
        if self.ledger.is_none() && !self.is_cut(index) {
            self.replicas[index].nobody_answers();
        }
        if self.is_cut(index) || self.ledger.is_none() {
            self.links[index].retry_at_ns = self.now_ns + self.rng.u64(10_000_000..500_000_000);
            return;
        }
        let request = self.replicas[index].begin_stream(self.now_ns);
        let link = &mut self.links[index];
        (link.open, link.member) = (true, None);
        link.up.0.clear();
        link.down.0.clear();
        self.send_up(index, Message::Request(request));
    }

    fn tick_ledger(&mut self) {
        let Some((ledger, started)) = &mut self.ledger else { return };
        let now = Duration::from_nanos(self.now_ns - *started);
        ledger.tick(now);
        let names = ledger.to_remember();
        if names != self.memory && self.rng.u8(..) < 60 {
            self.memory.clone_from(&names);
        }
        ledger.remembered(&self.memory);
        for index in 0..self.links.len() {
            let Some(member) = self.links[index].member else { continue };
            let Some((ledger, _)) = &mut self.ledger else { return };
            if !ledger.serves(member) {
                self.end_from_ledger(index);
                continue;
            }
            if let Some(response) = ledger.response(member, now) {
                self.send_down(index, Message::Response(Box::new(response.into())));
            }
        }
    }

    fn end_from_ledger(&mut self, index: usize) {
        if let (Some(id), Some((ledger, _))) = (self.links[index].member.take(), &mut self.ledger) {
            ledger.disconnected(id);
        }
        self.send_down(index, Message::End);
    }

    fn end_from_replica(&mut self, index: usize) {
        if !self.links[index].open {
            return;
        }
        self.links[index].open = false;
        self.links[index].retry_at_ns = self.now_ns + self.rng.u64(1_000_000..200_000_000);
        self.replicas[index].disconnected(self.now_ns);
        self.send_up(index, Message::End);
    }

    fn send_up(&mut self, index: usize, message: Message) {
        let at = self.arrival();
        let mishap = self.mishap();
        self.links[index].up.push(at, message, mishap);
    }

    fn send_down(&mut self, index: usize, message: Message) {
        let at = self.arrival();
        let mishap = self.mishap();
        self.links[index].down.push(at, message, mishap);
    }

    fn arrival(&mut self) -> u64 {
        self.now_ns + self.rng.u64(0..=self.weather.delay_ns)
    }

    fn mishap(&mut self) -> Option<u8> {
        let strikes = self.weather.mishap > 0 && self.rng.u32(0..self.weather.mishap) == 0;
        strikes.then(|| self.rng.u8(0..3))
    }

    fn deliver(&mut self, index: usize) {
        while !self.is_cut(index) {
            let now = self.now_ns;
            if let Some(message) = self.links[index].up.due(now) {
                self.arrive_up(index, message);
            } else if let Some(message) = self.links[index].down.due(now) {
                self.arrive_down(index, message);
            } else {
                return;
            }
        }
    }

    fn arrive_up(&mut self, index: usize, message: Message) {
        if std::env::var("LEASE_TRACE").is_ok()
            && let Message::Request(r) = &message
        {
            eprintln!("{} up {} {:?}", self.now_ns / 1000000, self.replicas[index].id, r);
        }
        if matches!(&message, Message::Request(request) if request.join.is_some()) && self.has_namesake(index) {
            self.send_down(index, Message::Namesake);
            return;
        }
        let Some((ledger, started)) = &mut self.ledger else { return };
        let now = Duration::from_nanos(self.now_ns - *started);
        let link = &mut self.links[index];
        let received = match message {
            Message::Request(request) => match (request.join.clone(), link.member) {
                (Some(join), None) if request.seq == 1 => {
                    link.member = Some(ledger.join(join.try_into().unwrap(), now));
                    Ok(())
                }
                (None, Some(id)) => ledger.receive(id, request.try_into().unwrap(), now).map_err(|_| ()),
                _ => Err(()),
            },
            Message::Response(_) | Message::Namesake | Message::End => Err(()),
        };
        if received.is_err() {
            self.end_from_ledger(index);
        }
    }

    /// Whether another process has a stream under the same name.
    fn has_namesake(&self, index: usize) -> bool {
        let of = |replica: &Replica| (replica.id.clone(), replica.incarnation);
        let (id, process) = of(&self.replicas[index]);
        let seated = self.replicas.iter().zip(&self.links).filter(|(_, link)| link.member.is_some());
        seated.map(|(replica, _)| of(replica)).any(|(other, of)| other == id && of != process)
    }

    fn arrive_down(&mut self, index: usize, message: Message) {
        if std::env::var("LEASE_TRACE").is_ok()
            && let Message::Response(r) = &message
        {
            eprintln!("{} down {} {:?}", self.now_ns / 1000000, self.replicas[index].id, r);
        }
        if !self.links[index].open {
            return;
        }
        if self.replicas[index].has_left() {
            return;
        }
        let (received, echoed) = match message {
            Message::Response(response) => {
                let echoed = response.echoed;
                (self.replicas[index].receive(*response, self.now_ns).ok(), echoed)
            }
            Message::Namesake => {
                self.end_from_replica(index);
                self.names += 1;
                let id = format!("replica-{}", self.names);
                return self.replicas[index].rename(id);
            }
            Message::Request(_) | Message::End => (None, 0),
        };
        match received {
            Some(answered) => self.decide(index, &answered),
            None => self.end_from_replica(index),
        }
        if self.links[index].open && self.replicas[index].may_leave(echoed) {
            let last = self.replicas[index].leave(self.now_ns);
            last.into_iter().for_each(|request| self.send_up(index, Message::Request(request)));
        }
    }

    fn decide(&mut self, index: usize, answered: &[u64]) {
        let mut admitted = Vec::new();
        self.replicas[index].decide(answered, self.now_ns, |client| admitted.push(client));
        admitted.into_iter().for_each(|client| self.admit(client));
    }
}

impl Queue {
    fn push(&mut self, at: u64, message: Message, mishap: Option<u8>) {
        // A stream keeps its order, but for mishaps: then its ends must notice.
        let at = self.0.back().map_or(at, |(last, _)| at.max(*last));
        match (mishap, &message) {
            (Some(0), Message::Request(_) | Message::Response(_)) => return,
            (Some(1), Message::Request(request)) => self.0.push_back((at, Message::Request(request.clone()))),
            (Some(1), Message::Response(response)) => self.0.push_back((at, Message::Response(response.clone()))),
            (Some(2), Message::Request(_) | Message::Response(_)) => {
                let place = self.0.len().saturating_sub(1);
                self.0.insert(place, (at, message));
                return;
            }
            _ => {}
        }
        self.0.push_back((at, message));
    }

    fn due(&mut self, now: u64) -> Option<Message> {
        self.0.front().is_some_and(|(at, _)| *at <= now).then(|| self.0.pop_front().unwrap().1)
    }
}
