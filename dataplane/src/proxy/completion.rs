//! What happens when an answer is over.

use std::{net::IpAddr, rc::Rc, sync::Arc};

use super::access_log::AccessRecord;
use crate::{pool::Backend, server::Worker};

/// When it is dropped, the request no longer counts as in flight, and it is logged.
pub(crate) struct Completion {
    worker: Rc<Worker>,
    record: Option<Box<AccessRecord>>,
}

impl Completion {
    pub(super) fn new(worker: Rc<Worker>, record: Option<Box<AccessRecord>>) -> Self {
        Self { worker, record }
    }

    pub(super) fn client(&mut self, address: IpAddr) {
        self.note(|r| r.client = Some(address));
    }

    pub(super) fn backend(&mut self, backend: Arc<Backend>) {
        self.note(|r| r.backend = Some(backend));
    }

    pub(super) fn answered(&mut self, status: u16) {
        self.note(|r| r.status = status);
    }

    /// So much of a body, without what frames it, was given out.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.note(|r| r.sent_bytes = bytes);
    }

    fn note(&mut self, note: impl FnOnce(&mut AccessRecord)) {
        if let Some(record) = &mut self.record {
            note(record);
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.worker.shared.metrics.requests.ended();
        if let Some(record) = self.record.take() {
            record.log();
        }
    }
}
