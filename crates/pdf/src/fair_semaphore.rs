//! FairSemaphore that documents share fairly: so many at once, and when they are all taken, the documents that wait are served in
//! turn, one turn each, however many turns each of them waits for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// See the module. All clones share the same turns.
#[derive(Clone, Debug)]
pub(crate) struct FairSemaphore(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: u32,
    /// Documents that wait, the next first, each with those who wait for it, first come first served.
    waiting: VecDeque<(String, VecDeque<oneshot::Sender<Permit>>)>,
}

/// Goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Option<FairSemaphore>);

impl FairSemaphore {
    /// With so many at once, at least one.
    pub(crate) fn new(at_once: u32) -> Self {
        Self(Arc::new(Mutex::new(State { free: at_once.max(1), waiting: VecDeque::new() })))
    }

    /// Waits for a turn of this document. Being dropped gives the place up.
    pub(crate) async fn take(&self, document: &str) -> Permit {
        let turn = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Permit(Some(self.clone()));
            }
            state.wait(document)
        };
        // The sender is dropped only after it has sent; if it were not, going on is better than not going on.
        turn.await.unwrap_or(Permit(None))
    }

    fn give_back(&self) {
        loop {
            let Some(next) = self.state().next() else { return };
            match next.send(Permit(Some(self.clone()))) {
                Ok(()) => return,
                // Who waited is gone. Dropping this turn in the usual way would come back here.
                Err(mut unwanted) => drop(unwanted.0.take()),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under this lock is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&mut self, document: &str) -> oneshot::Receiver<Permit> {
        let (send, receive) = oneshot::channel();
        match self.waiting.iter_mut().find(|(waiting, _)| waiting == document) {
            Some((_, line)) => line.push_back(send),
            None => self.waiting.push_back((document.to_owned(), VecDeque::from([send]))),
        }
        receive
    }

    /// Who gets the turn that came back; with nobody it is free.
    fn next(&mut self) -> Option<oneshot::Sender<Permit>> {
        let Some((document, mut line)) = self.waiting.pop_front() else {
            self.free += 1;
            return None;
        };
        let next = line.pop_front();
        if !line.is_empty() {
            self.waiting.push_back((document, line));
        }
        next
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::*;

    /// Waits for a turn, without one free: its place in the line is taken.
    fn waits(turns: &FairSemaphore, document: &'static str) -> BoxFuture<'static, Permit> {
        let turns = turns.clone();
        let mut turn: BoxFuture<'static, Permit> = Box::pin(async move { turns.take(document).await });
        assert!(poll(&mut turn).is_none());
        turn
    }

    fn poll(turn: &mut BoxFuture<'static, Permit>) -> Option<Permit> {
        turn.now_or_never()
    }

    #[test]
    fn documents_are_served_in_turn_however_much_each_wants() {
        let turns = FairSemaphore::new(1);
        let first = turns.take("long").now_or_never().unwrap();
        let mut long: Vec<_> = (0..5).map(|_| waits(&turns, "long")).collect();
        let mut short = waits(&turns, "short");
        drop(first);
        let second = poll(&mut long[0]).unwrap();
        assert!(poll(&mut short).is_none());
        drop(second);
        let third = poll(&mut short).expect("the other document is next");
        assert!(long[1..].iter_mut().all(|turn| poll(turn).is_none()));
        drop(third);
        assert!(poll(&mut long[1]).is_some());
    }

    #[test]
    fn who_gives_up_waiting_costs_no_turn() {
        let turns = FairSemaphore::new(1);
        let first = turns.take("a").now_or_never().unwrap();
        drop(waits(&turns, "b"));
        let unseen = waits(&turns, "c");
        drop(first);
        // It was given the turn and goes without having looked.
        drop(unseen);
        drop(turns.take("d").now_or_never().unwrap());
        let state = turns.state();
        assert_eq!((state.free, state.waiting.len()), (1, 0));
    }
}
