//! The installation that is put under faults: its workers, which come back when they have ended, and what they stand on.

use std::cell::RefCell;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::load::merchants;
use crate::load::rng::Rng;
use crate::support::database::Database;
use crate::support::proxy::Proxy;
use crate::support::stack::OwnStack;
use crate::support::wire::Wire;
use crate::support::{Installation, Worker};

pub struct Scene<'a> {
    pub stack: &'a OwnStack,
    /// Between the workers and Postgres.
    pub wire: Wire,
    /// Between the workers and the schema registry.
    pub registry: Proxy,
    installation: Installation,
    workers: RefCell<Vec<Option<Worker>>>,
    /// Transactions of strangers, which hold locks.
    pub strangers: Vec<Database>,
}

/// A stop in order that takes longer is no stop in order.
const STOPPED_WITHIN: Duration = Duration::from_secs(60);

impl<'a> Scene<'a> {
    pub fn set(stack: &'a OwnStack, name: &str, is_cluster: bool, rng: &mut Rng) -> Scene<'a> {
        let lanes = 4 + 2 * rng.below(3) as i32;
        let workers = 1 + rng.below(3);
        let addresses = stack.addresses();
        let wire = Wire::before(&addresses.postgres_url);
        let registry = Proxy::before(&addresses.registry_url);
        let installation = Installation::with_lanes(&addresses, name, lanes, if is_cluster { 3 } else { 1 });
        assert_eq!(merchants(lanes).len(), lanes as usize);
        let scene = Scene {
            stack,
            wire,
            registry,
            installation,
            workers: RefCell::new((0..workers).map(|_| None).collect()),
            strangers: Vec::new(),
        };
        (0..workers).for_each(|number| scene.start(number));
        scene
    }

    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    pub fn lanes(&self) -> i32 {
        self.installation.lanes
    }

    pub fn workers(&self) -> usize {
        self.workers.borrow().len()
    }

    /// Starts a worker under its name.
    pub fn start(&self, number: usize) {
        let (_, database) = self.installation.database_settings().remove(0);
        let url = self.wire.through(&database);
        let name = format!("pod-{number}");
        let environment = [
            ("LOYALTY_KAFKA__CLIENT_ID", name.as_str()),
            ("LOYALTY_POSTGRES__URL", url.as_str()),
            ("LOYALTY_REGISTRY__URL", self.registry.url.as_str()),
        ];
        self.workers.borrow_mut()[number] = Some(self.installation.worker_with(&environment));
    }

    pub fn kill(&self, number: usize) {
        if let Some(worker) = self.workers.borrow_mut()[number].take()
            && !worker.has_ended()
        {
            worker.kill();
        }
    }

    pub fn stop_one(&self, number: usize) {
        let stopped = self.workers.borrow_mut()[number].take();
        if let Some(worker) = stopped.filter(|worker| !worker.has_ended()) {
            worker.stop_within(STOPPED_WITHIN);
        }
    }

    pub fn signal(&self, number: usize, signal: Signal) {
        if let Some(worker) = self.workers.borrow().get(number).and_then(Option::as_ref)
            && !worker.has_ended()
        {
            worker.signal(signal);
        }
    }

    /// As a process manager does: what has ended by itself is started again.
    pub fn revive(&self) {
        let ended = |worker: &Option<Worker>| worker.as_ref().is_none_or(Worker::has_ended);
        for number in 0..self.workers() {
            let has_ended = ended(&self.workers.borrow()[number]);
            if has_ended {
                self.start(number);
            }
        }
    }

    /// What the workers that answer say of themselves.
    pub fn metrics(&self) -> Vec<String> {
        self.workers.borrow().iter().flatten().filter_map(Worker::metrics_if_it_answers).collect()
    }

    /// Stops all. A worker whose lanes were on their way to another leaves what it has applied to that one, so one more comes and publishes it.
    pub fn stop(&mut self) {
        self.strangers.clear();
        for number in 0..self.workers() {
            self.stop_one(number);
        }
        self.start(0);
        if let Some(worker) = self.workers.borrow_mut()[0].take() {
            worker.await_all_lanes();
            worker.stop_within(STOPPED_WITHIN);
        }
    }
}
