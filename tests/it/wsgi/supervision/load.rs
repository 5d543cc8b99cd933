//! Clients that ask and ask, and to whom nothing may happen.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::StatusCode;
use tokio::task::JoinSet;
use tower_gateway::wsgi::WsgiContainer;

use crate::wsgi::apps::{ask, within};

pub struct Load {
    clients: JoinSet<Vec<String>>,
    is_over: Arc<AtomicBool>,
}

/// What became of it.
pub struct Answers {
    pub count: usize,
    pub different: BTreeSet<String>,
}

impl Load {
    pub fn start(container: &WsgiContainer, clients: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut load = Self {
            clients: JoinSet::new(),
            is_over: Arc::clone(&is_over),
        };
        for _ in 0..clients {
            let (container, is_over) = (container.clone(), Arc::clone(&is_over));
            load.clients.spawn(async move {
                let mut answers = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let answer = ask(&container, "/").await;
                    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
                    answers.push(answer.body);
                }
                answers
            });
        }
        load
    }

    /// Not one of all these requests has failed.
    pub async fn stop(self) -> Answers {
        self.is_over.store(true, Ordering::Relaxed);
        let answers = within(self.clients.join_all()).await.concat();
        Answers {
            count: answers.len(),
            different: answers.into_iter().collect(),
        }
    }
}
