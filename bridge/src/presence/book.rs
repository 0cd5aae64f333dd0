//! Who is connected to this bridge, and what the core tells of those users elsewhere. An entry is a [`Stay`]: it goes when
//! that is dropped, however its connection ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use courant_proto::v1;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::own::{Own, Transport};
use super::shown::merged;
use crate::wire::device::Device;

/// How long a new look waits for what other bridges say before it shows what this one knows.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// How much of whom for how long.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Devices of one user at this bridge.
    pub devices_per_user: usize,
    /// How long after its answer a poll is followed by the next.
    pub poll: Duration,
    /// How long without the core until nothing is known of other bridges.
    pub grace: Duration,
}

/// All users that are connected or looked at.
#[derive(Debug)]
pub struct Book {
    rules: Rules,
    inner: Mutex<Inner>,
    /// There is something to tell the core.
    news: Notify,
    /// The next time has changed.
    alarm: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    users: HashMap<Arc<str>, User>,
    /// Users whom the core does not know as they are.
    untold: BTreeSet<Arc<str>>,
    /// When polls are overdue: at most one entry a device.
    overdue: BTreeSet<(Instant, Arc<str>, String)>,
    core: Reach,
}

/// Whether the core hears us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reach {
    /// It does.
    Here,
    /// Not any more; what it told last still counts until then.
    Lost(Instant),
    /// No.
    #[default]
    Away,
}

#[derive(Debug, Default)]
struct User {
    own: BTreeMap<String, Own>,
    /// None until the core has told.
    elsewhere: Option<Vec<v1::Device>>,
    looks: usize,
    /// Those who look.
    changed: Option<watch::Sender<()>>,
}

/// One connection in the book.
#[derive(Debug)]
pub struct Stay {
    book: Arc<Book>,
    user: Arc<str>,
    device: String,
    transport: Transport,
    entered: bool,
}

/// Somebody looks at a user's devices.
#[derive(Debug)]
pub struct Look {
    book: Arc<Book>,
    user: Arc<str>,
    changed: watch::Receiver<()>,
}

/// What there is to see.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// By id.
    pub devices: BTreeMap<String, v1::Device>,
    /// Whether other bridges' devices are among them.
    pub complete: bool,
}

impl Book {
    /// Nobody yet.
    pub fn new(rules: Rules) -> Arc<Self> {
        Arc::new(Self { rules, inner: Mutex::default(), news: Notify::new(), alarm: Notify::new() })
    }

    /// A connection of a user begins. One of too many devices is let in and not shown.
    pub fn enter(self: &Arc<Self>, user: &str, device: &Device, transport: Transport) -> Stay {
        let mut inner = self.inner.lock();
        let user: Arc<str> = user.into();
        let known = inner.users.entry(user.clone()).or_default();
        let entered = known.own.contains_key(&device.id) || known.own.len() < self.rules.devices_per_user;
        if entered {
            let own = known.own.entry(device.id.clone()).or_insert_with(|| Own::new(SystemTime::now()));
            own.enter(transport, device.name.as_deref());
        }
        self.changed(&mut inner, &user);
        Stay { book: self.clone(), user, device: device.id.clone(), transport, entered }
    }

    /// Looks at the devices of a user, and hears when they change.
    pub fn look(self: &Arc<Self>, user: &str) -> Look {
        let mut inner = self.inner.lock();
        let user: Arc<str> = user.into();
        let known = inner.users.entry(user.clone()).or_default();
        known.looks += 1;
        let changed = known.changed.get_or_insert_with(|| watch::channel(()).0).subscribe();
        if known.looks == 1 && inner.core == Reach::Here {
            inner.untold.insert(user.clone());
            self.news.notify_one();
        }
        Look { book: self.clone(), user, changed }
    }

    /// How many devices are shown of this bridge.
    pub fn devices(&self) -> usize {
        self.inner.lock().users.values().map(|user| user.own.len()).sum()
    }

    /// The core hears us from now on, and knows nothing yet.
    pub fn begin(&self) {
        let mut inner = self.inner.lock();
        inner.core = Reach::Here;
        let all: Vec<_> = inner.users.keys().cloned().collect();
        inner.untold = all.into_iter().collect();
        self.news.notify_one();
    }

    /// The core is gone. What it told still counts for the grace.
    pub fn lost(&self) {
        let mut inner = self.inner.lock();
        if inner.core == Reach::Here {
            inner.core = Reach::Lost(Instant::now() + self.rules.grace);
            self.alarm.notify_one();
        }
    }

    /// What the core tells of a user at other bridges.
    pub fn told(&self, elsewhere: v1::UserElsewhere) {
        let mut inner = self.inner.lock();
        let user = inner.users.get_mut(elsewhere.user.as_str()).filter(|user| user.looks > 0);
        if let Some(user) = user {
            user.elsewhere = Some(elsewhere.devices);
            user.tell();
        }
    }

    /// Waits until there is something to tell the core, and takes it: users, each to be read when it is sent.
    pub async fn untold(&self) -> BTreeSet<Arc<str>> {
        loop {
            let untold = std::mem::take(&mut self.inner.lock().untold);
            if !untold.is_empty() {
                return untold;
            }
            self.news.notified().await;
        }
    }

    /// A user as the core is to know it now.
    pub fn report(&self, user: &str) -> v1::BridgeUser {
        let inner = self.inner.lock();
        let known = inner.users.get(user);
        v1::BridgeUser {
            user: user.to_owned(),
            devices: known.map(User::wire).unwrap_or_default(),
            followed: known.is_some_and(|known| known.looks > 0),
        }
    }

    /// Ends what time ends: polls that do not come, and words of a core that is away. Runs for ever.
    pub async fn keep(&self) {
        loop {
            let next = self.end_what_is_over(Instant::now());
            tokio::select! {
                () = self.alarm.notified() => {}
                () = at(next) => {}
            }
        }
    }

    /// Ends what is over, and says when to look again.
    fn end_what_is_over(&self, now: Instant) -> Option<Instant> {
        let mut inner = self.inner.lock();
        while inner.overdue.first().is_some_and(|(at, ..)| *at <= now)
            && let Some((_, user, device)) = inner.overdue.pop_first()
        {
            let own = inner.users.get_mut(&user).and_then(|known| known.own.get_mut(&device));
            match own.and_then(|own| own.polls_until(now)) {
                // It has polled meanwhile.
                Some(later) => drop(inner.overdue.insert((later, user, device))),
                None => self.settle(&mut inner, &user, &device),
            }
        }
        if let Reach::Lost(until) = inner.core
            && until <= now
        {
            inner.core = Reach::Away;
            for user in inner.users.values_mut() {
                user.elsewhere = None;
                user.tell();
            }
        }
        let overdue = inner.overdue.first().map(|(at, ..)| *at);
        let lost = if let Reach::Lost(until) = inner.core { Some(until) } else { None };
        overdue.into_iter().chain(lost).min()
    }

    fn leave(&self, stay: &Stay) {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        let overdue = now + self.rules.poll;
        let Some(own) = inner.users.get_mut(&stay.user).and_then(|user| user.own.get_mut(&stay.device)) else { return };
        let waits = own.polls_until(now).is_some();
        own.leave(stay.transport, overdue);
        if stay.transport == Transport::Poll && !waits {
            inner.overdue.insert((overdue, stay.user.clone(), stay.device.clone()));
            self.alarm.notify_one();
        }
        self.settle(&mut inner, &stay.user, &stay.device);
    }

    /// Takes out a device that is gone.
    fn settle(&self, inner: &mut Inner, user: &Arc<str>, device: &str) {
        if let Some(known) = inner.users.get_mut(user)
            && known.own.get(device).is_some_and(Own::is_gone)
        {
            known.own.remove(device);
        }
        self.changed(inner, user);
    }

    /// Tells all who should know, and forgets a user of whom there is nothing to know.
    fn changed(&self, inner: &mut Inner, user: &Arc<str>) {
        if let Some(known) = inner.users.get(user) {
            known.tell();
            if known.own.is_empty() && known.looks == 0 {
                inner.users.remove(user);
            }
        }
        if inner.core == Reach::Here {
            inner.untold.insert(user.clone());
            self.news.notify_one();
        }
    }
}

impl User {
    fn wire(&self) -> Vec<v1::Device> {
        self.own.iter().map(|(id, own)| own.wire(id)).collect()
    }

    fn tell(&self) {
        if let Some(changed) = &self.changed {
            changed.send_replace(());
        }
    }
}

impl Stay {
    /// The device.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Whether it is shown: a user may have too many devices.
    pub fn is_shown(&self) -> bool {
        self.entered
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if self.entered {
            self.book.leave(self);
        }
    }
}

impl Look {
    /// Waits until the core has told what it knows; not long, and not at all while it is away.
    pub async fn settled(&mut self) {
        let told = async { while self.waits() && self.changed.changed().await.is_ok() {} };
        // Late is better than never: the rest comes as a change.
        let _ = tokio::time::timeout(TOLD_WITHIN, told).await;
    }

    fn waits(&self) -> bool {
        let inner = self.book.inner.lock();
        inner.core == Reach::Here && inner.users.get(&self.user).is_some_and(|user| user.elsewhere.is_none())
    }

    /// The devices now.
    pub fn sight(&mut self) -> Sight {
        self.changed.mark_unchanged();
        let inner = self.book.inner.lock();
        let Some(user) = inner.users.get(&self.user) else {
            return Sight { devices: BTreeMap::new(), complete: false };
        };
        let elsewhere = user.elsewhere.iter().flatten().cloned();
        let devices = merged(user.wire().into_iter().chain(elsewhere));
        Sight { devices, complete: user.elsewhere.is_some() }
    }

    /// Waits until they may have changed.
    pub async fn changed(&mut self) {
        // The sender lives as long as we look.
        if self.changed.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let mut inner = self.book.inner.lock();
        if let Some(user) = inner.users.get_mut(&self.user) {
            user.looks -= 1;
            if user.looks == 0 {
                user.changed = None;
                user.elsewhere = None;
                self.book.changed(&mut inner, &self.user);
            }
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
