//! Bodies that pass from one socket to another without being copied: through a pipe, by splice(2) of Linux.
//!
//! A pipe is filled only while it is empty, and emptied before it is filled again: so it bounds what waits for a receiver,
//! and when the kernel says "try again" it means the socket. It is taken when a sender's bytes are there and given back when the
//! receiver has them: only receivers that are slow keep one. Where there is none to be had, bytes are copied.

#[cfg_attr(not(target_os = "linux"), path = "pipes/elsewhere.rs")]
mod ends;
#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::{io::Interest, net::TcpStream};

use ends::Ends;

/// What one pipe takes at most, bytes.
const MOST_BYTES: u64 = 128 * 1024;
/// With less to come, a copy costs less than two calls more.
pub(crate) const WORTH_BYTES: u64 = 16 * 1024;

/// The pipes of one thread. Never borrowed across an await.
pub(crate) struct Pipes {
    spare: RefCell<Vec<Ends>>,
    /// Pipes that there are, spare or not.
    open: Cell<usize>,
    most: usize,
}

/// Bytes between two sockets.
pub(crate) struct Pipe {
    /// `None` only while it is being dropped.
    ends: Option<Ends>,
    length: usize,
    home: Rc<Pipes>,
}

impl Pipes {
    /// None yet, and never more than `most`.
    pub(crate) fn new(most: usize) -> Rc<Self> {
        Rc::new(Self { spare: RefCell::default(), open: Cell::new(0), most })
    }

    /// Takes bytes from a socket, at most `most`, which is not 0. `None`: they must be copied. If the sender has closed
    /// its side, there are none in the pipe.
    pub(crate) fn poll_fill(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        from: &TcpStream,
        most: u64,
    ) -> Poll<io::Result<Option<Pipe>>> {
        loop {
            ready!(from.poll_read_ready(cx))?;
            let Some(mut pipe) = self.take() else { return Poll::Ready(Ok(None)) };
            let most = most.min(MOST_BYTES) as usize;
            match from.try_io(Interest::READABLE, || pipe.ends().fill(from, most)) {
                Ok(length) => {
                    pipe.length = length;
                    return Poll::Ready(Ok(Some(pipe)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_impossible(&error) => return Poll::Ready(Ok(None)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn take(self: &Rc<Self>) -> Option<Pipe> {
        let ends = self.spare.borrow_mut().pop().or_else(|| self.open())?;
        Some(Pipe { ends: Some(ends), length: 0, home: self.clone() })
    }

    fn open(&self) -> Option<Ends> {
        if self.open.get() >= self.most {
            return None;
        }
        // Most likely there is no descriptor left; the next try may find one.
        let ends = Ends::open().ok()?;
        self.open.set(self.open.get() + 1);
        Some(ends)
    }
}

impl Pipe {
    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is left in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Puts into a socket what it takes now. The number of bytes.
    pub(crate) fn poll_empty(&mut self, cx: &mut Context<'_>, to: &TcpStream) -> Poll<io::Result<usize>> {
        loop {
            ready!(to.poll_write_ready(cx))?;
            match to.try_io(Interest::WRITABLE, || self.ends().empty(to, self.length)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(length) => {
                    self.length -= length;
                    return Poll::Ready(Ok(length));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn ends(&self) -> &Ends {
        self.ends.as_ref().unwrap_or_else(|| unreachable!("it is not being dropped"))
    }
}

/// What is left in a pipe must not reach the next one's receiver: such a pipe is closed.
impl Drop for Pipe {
    fn drop(&mut self) {
        match self.ends.take() {
            Some(ends) if self.length == 0 => self.home.spare.borrow_mut().push(ends),
            _ => self.home.open.set(self.home.open.get() - 1),
        }
    }
}

/// Writes to a socket, in one go, two parts that bytes in a pipe follow at once: the kernel need not send them alone.
pub(crate) fn poll_write_ahead(
    cx: &mut Context<'_>,
    to: &TcpStream,
    first: &[u8],
    second: &[u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(to.poll_write_ready(cx))?;
        match to.try_io(Interest::WRITABLE, || ends::write_ahead(to, first, second)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => return Poll::Ready(written),
        }
    }
}

/// The kernel, or what stands for one, cannot do it with such a socket.
fn is_impossible(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}
