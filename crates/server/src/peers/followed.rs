//! Whether a job is followed at another server: asked before a job is cancelled because nobody follows it.

use std::collections::HashSet;

use courant_engine::unwatched::{FollowedElsewhere, Indexes};
use courant_joblog::ids::JobId;
use tokio::sync::mpsc;
use tonic::async_trait;

use super::message::Content;
use super::peer::{ANSWER_WITHIN, Peers};
use super::question::Waiting;
use crate::worker::registry::ServerId;

#[async_trait]
impl FollowedElsewhere for Peers {
    async fn is_followed(&self, job: &JobId) -> bool {
        let mut silent: HashSet<ServerId> = self.others.lock().keys().copied().collect();
        if silent.is_empty() {
            return false;
        }
        let (sender, mut answers) = mpsc::unbounded_channel();
        let question = fastrand::u64(..);
        self.questions.lock().insert(question, Waiting(sender));
        let answered = async {
            self.send(Content::WhoFollows { question, job: job.to_string() }).await;
            while let Some((server, followed)) = answers.recv().await {
                silent.remove(&server);
                if followed || silent.is_empty() {
                    return followed;
                }
            }
            true
        };
        let followed = tokio::time::timeout(ANSWER_WITHIN, answered).await;
        self.questions.lock().remove(&question);
        followed.unwrap_or(true)
    }
}

impl Peers {
    /// Whether somebody follows a job here.
    pub(super) async fn answer_who_follows(&self, question: u64, job: &JobId) {
        let projections = &self.services.projections;
        let indexes = Indexes { unwatched: projections.unwatched.clone(), batches: projections.batches.clone() };
        let current = self.services.engine.read(|view| view.unfinished(job).map(|current| current.job.clone()));
        let followed = current.is_some_and(|job| indexes.is_followed(&self.services.engine, &job));
        self.send(Content::Follows { question, followed }).await;
    }

    pub(super) fn receive_answer(&self, server: ServerId, question: u64, followed: bool) {
        if let Some(Waiting(sender)) = self.questions.lock().get(&question) {
            // Who asked may have given up.
            let _ = sender.send((server, followed));
        }
    }
}
