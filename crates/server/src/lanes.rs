//! What operators did to lanes: of those that are paused nothing is given out until they are resumed, and weights may be others than
//! the flags say. Jobs that run go on.
//!
//! It survives restarts: where several servers share the log it is notes in the log, which all of them follow; else a file in
//! the data folder. Whoever changes a lane is answered when that is durable and holds at the server that was asked.

mod stored;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use courant_engine::Engine;
use courant_engine::view::Weights;
use courant_joblog::ids::Revision;
use courant_joblog::job::Lane;
use courant_joblog::log::{Log, ReadError};
use courant_joblog::notes::{Notes, Put};
use parking_lot::Mutex;

pub use self::stored::{LanePause, LaneSetting, LaneWeight, LanesError, is_note, name};
use self::stored::{StoredLane, decode, encode, note_key, read_file, write_file};

/// The file in the data folder.
const FILE: &str = "lanes.json";
/// Notes that are read at once.
const PAGE: usize = 500;
/// Changes are gathered for so long before they are looked at.
const GATHER: Duration = Duration::from_millis(50);
/// The pause after notes could not be read.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The lanes, and where what is done to them is kept.
pub struct Lanes {
    store: Store,
    states: Mutex<[LaneState; Lane::ALL.len()]>,
    /// One change at a time is written.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct LaneState {
    pause: Option<LanePause>,
    weight: Option<LaneWeight>,
    /// Of the notes that say so.
    paused_at: Revision,
    weighed_at: Revision,
}

enum Store {
    File(PathBuf),
    Notes(Arc<dyn Notes>),
}

impl Lanes {
    /// Reads what was done to lanes before.
    pub async fn open(log: &dyn Log, data_dir: &Path) -> Result<Self, LanesError> {
        let store = log.notes().map_or_else(|| Store::File(data_dir.join(FILE)), Store::Notes);
        let lanes = Self { store, states: Mutex::default(), writing: tokio::sync::Mutex::default() };
        match &lanes.store {
            Store::File(path) => {
                for StoredLane { lane, pause, weight } in read_file(path)? {
                    lanes.note(lane, LaneSetting::Pause(pause), Revision::ZERO);
                    lanes.note(lane, LaneSetting::Weight(weight), Revision::ZERO);
                }
            }
            Store::Notes(notes) => {
                let arrived = *notes.arrived().borrow();
                lanes.read_notes(&**notes, Revision::ZERO, arrived).await?;
            }
        }
        Ok(lanes)
    }

    /// What is paused, in the order of [`Lane::ALL`].
    pub fn paused(&self) -> [Option<LanePause>; Lane::ALL.len()] {
        self.states.lock().clone().map(|state| state.pause)
    }

    /// The weights that operators have set, in the order of [`Lane::ALL`].
    pub fn weighed(&self) -> [Option<LaneWeight>; Lane::ALL.len()] {
        self.states.lock().clone().map(|state| state.weight)
    }

    /// Lets the engine know.
    pub fn apply(&self, engine: &Engine) {
        let (paused, weighed) = (self.paused(), self.weighed());
        for lane in Lane::ALL {
            let is_paused = paused[lane as usize].is_some();
            if engine.read(|view| view.is_paused(lane)) != is_paused {
                engine.set_paused(lane, is_paused);
            }
        }
        let weights = weights(engine.config.weights, &weighed);
        if engine.read(|view| view.weights()) != weights {
            engine.set_weights(weights);
        }
    }

    /// Sets something of a lane. When this returns it is durable.
    pub async fn set(&self, engine: &Engine, lane: Lane, setting: LaneSetting) -> Result<(), LanesError> {
        let _writing = self.writing.lock().await;
        let revision = match &self.store {
            Store::File(path) => {
                let mut all = self.stored();
                match setting.clone() {
                    LaneSetting::Pause(pause) => all[lane as usize].pause = pause,
                    LaneSetting::Weight(weight) => all[lane as usize].weight = weight,
                }
                let path = path.clone();
                let wrote = tokio::task::spawn_blocking(move || write_file(&path, &all)).await;
                wrote.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
                Revision::ZERO
            }
            Store::Notes(notes) => notes.put(&note_key(lane, &setting), encode(lane, &setting), Put::Replace).await?,
        };
        self.note(lane, setting, revision);
        self.apply(engine);
        Ok(())
    }

    /// Follows what other servers do to lanes, for ever.
    pub async fn follow(&self, engine: &Engine) {
        let Store::Notes(notes) = &self.store else { return std::future::pending().await };
        let mut arrived = notes.arrived();
        let newest = |state: &LaneState| state.paused_at.max(state.weighed_at);
        let mut read = self.states.lock().iter().map(newest).max().unwrap_or(Revision::ZERO);
        loop {
            let up_to = *arrived.borrow_and_update();
            match self.read_notes(&**notes, read, up_to).await {
                Ok(()) => {
                    read = read.max(up_to);
                    self.apply(engine);
                    if arrived.changed().await.is_err() {
                        return std::future::pending().await;
                    }
                    tokio::time::sleep(GATHER).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "what operators did to lanes cannot be read, retrying");
                    tokio::time::sleep(TRY_AGAIN).await;
                }
            }
        }
    }

    async fn read_notes(&self, notes: &dyn Notes, mut after: Revision, up_to: Revision) -> Result<(), ReadError> {
        loop {
            let page = notes.read(after, up_to, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.revision;
            page.iter().filter_map(decode).for_each(|(lane, setting, revision)| self.note(lane, setting, revision));
        }
    }

    /// The newest note counts, whoever comes first.
    fn note(&self, lane: Lane, setting: LaneSetting, revision: Revision) {
        let state = &mut self.states.lock()[lane as usize];
        match setting {
            LaneSetting::Pause(pause) if revision >= state.paused_at => {
                (state.pause, state.paused_at) = (pause, revision);
            }
            LaneSetting::Weight(weight) if revision >= state.weighed_at => {
                (state.weight, state.weighed_at) = (weight, revision);
            }
            LaneSetting::Pause(_) | LaneSetting::Weight(_) => {}
        }
    }

    fn stored(&self) -> [StoredLane; Lane::ALL.len()] {
        let states = self.states.lock();
        Lane::ALL.map(|lane| {
            let state = &states[lane as usize];
            StoredLane { lane, pause: state.pause.clone(), weight: state.weight.clone() }
        })
    }
}

/// The weights of the flags, but for those that operators have set.
fn weights(flags: Weights, weighed: &[Option<LaneWeight>; Lane::ALL.len()]) -> Weights {
    let of = |lane: Lane| weighed[lane as usize].as_ref().map_or(flags.of(lane), |set| set.weight);
    Weights { premium: of(Lane::Premium), normal: of(Lane::Normal), large: of(Lane::Large) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pauses_and_weights_survive_in_the_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(courant_joblog::memory::MemoryLog::new());
        let open = async || {
            let config = courant_engine::Config {
                weights: Weights::default(),
                owner_share: 1.0,
                owner_running: 0,
                owner_weights: Default::default(),
                kind_running: Default::default(),
                watch_buffer: 16,
                bookmark_interval: Duration::from_secs(1),
            };
            Engine::open(config, log.clone(), courant_engine::projection::Projections::default()).await.unwrap()
        };
        let (engine, pause) = (open().await, LanePause::now("root", ""));
        let lanes = Lanes::open(&*log, folder.path()).await.unwrap();
        lanes.set(&engine, Lane::Premium, LaneSetting::Pause(Some(pause.clone()))).await.unwrap();
        assert!(engine.read(|view| view.is_paused(Lane::Premium) && !view.is_paused(Lane::Normal)));
        let weight = LaneWeight::now("root", 40);
        lanes.set(&engine, Lane::Large, LaneSetting::Weight(Some(weight.clone()))).await.unwrap();
        let (again, lanes) = (open().await, Lanes::open(&*log, folder.path()).await.unwrap());
        lanes.apply(&again);
        assert_eq!((lanes.paused(), lanes.weighed()), ([Some(pause), None, None], [None, None, Some(weight)]));
        assert!(again.read(|view| view.is_paused(Lane::Premium)));
        let of_lanes = |engine: &Engine| Lane::ALL.map(|lane| engine.read(|view| view.weights().of(lane)));
        assert_eq!(of_lanes(&again), [6, 3, 40]);
        lanes.set(&again, Lane::Premium, LaneSetting::Pause(None)).await.unwrap();
        lanes.set(&again, Lane::Large, LaneSetting::Weight(None)).await.unwrap();
        assert!(!again.read(|view| view.is_paused(Lane::Premium)) && of_lanes(&again) == [6, 3, 1]);
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(matches!(Lanes::open(&*log, folder.path()).await, Err(LanesError::Damaged { .. })));
    }
}
