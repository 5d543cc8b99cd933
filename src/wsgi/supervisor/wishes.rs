//! What the holders of handles wish, and what they are told.

use std::mem;

use super::{super::SpawnError, actor::Supervisor, fleet::Event};
use crate::ErrorKind;

impl Supervisor {
    pub(super) fn fulfil(&mut self) {
        let wishes = self.desk.0.wishes();
        if let Some((min, max)) = wishes.size {
            let (min, max) = (min.max(1), max.max(min).max(1));
            self.scales = min < max;
            self.seen.resized(min, max);
            self.feed(Event::Resize(min, max));
        }
        if wishes.dump {
            self.crew.keys().for_each(|id| self.dump(*id));
        }
        if !wishes.reloads.is_empty() {
            let newest = self.fleet.newest();
            let reloads = wishes.reloads.into_iter().map(|told| (newest, told));
            self.waiting.extend(reloads);
            self.seen.reload("a handle");
            self.feed(Event::Reload);
        }
        if wishes.shutdown && !self.fleet.is_stopping() {
            self.seen.stops();
            self.dispatch.close(ErrorKind::Draining);
            self.feed(Event::Shutdown);
        }
        self.desk.0.wait_for_the_end(wishes.ends);
    }

    /// Tells those who wait for this generation, or an older one, what became of it.
    pub(super) fn tell(&mut self, generation: u32, outcome: &Result<(), SpawnError>) {
        for (newer_than, told) in mem::take(&mut self.waiting) {
            if newer_than < generation {
                told.send(outcome.clone()).ok();
            } else {
                self.waiting.push((newer_than, told));
            }
        }
    }
}
