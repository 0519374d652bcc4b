//! The tasks that hyper runs, one for each stream of a connection.

use std::{cell::Cell, pin::pin, rc::Rc, sync::Arc};

use hyper::rt::Executor;

use crate::server::Deadline;

/// Runs hyper's tasks where the connection is, and ends those of streams whose client takes nothing: the stream is
/// reset, its backend's connection let go. hyper itself would wait for such a client for as long as the connection lives.
#[derive(Clone, Default)]
pub(super) struct StreamTasks {
    next: Rc<Cell<Option<Arc<Deadline>>>>,
}

impl StreamTasks {
    /// The next task ends when `taken_by` has passed. hyper starts a stream's task right after it has called the service
    /// with its request.
    pub(super) fn bound_next(&self, taken_by: Arc<Deadline>) {
        self.next.set(Some(taken_by));
    }
}

impl<F> Executor<F> for StreamTasks
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, task: F) {
        let taken_by = self.next.take();
        tokio::task::spawn_local(async move {
            let Some(taken_by) = taken_by else { return task.await };
            let mut task = pin!(task);
            tokio::select! {
                biased;
                () = task.as_mut() => {}
                () = taken_by.passed() => tracing::debug!("a client takes nothing of its answer; the stream is reset"),
            }
        });
    }
}
