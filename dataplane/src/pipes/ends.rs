//! A pipe of Linux.

use std::io::{self, IoSlice};

use rustix::{
    fd::OwnedFd,
    net::{SendAncillaryBuffer, SendFlags, sendmsg},
    pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice},
};
use tokio::net::TcpStream;

/// Room in a pipe: as many pages as this has, whether full or not. Of what comes from a network, a page may hold one packet.
const ROOM_BYTES: usize = 256 * 1024;

/// Both ends of a pipe.
pub(super) struct Ends {
    output: OwnedFd,
    input: OwnedFd,
}

impl Ends {
    /// A new pipe.
    pub(super) fn open() -> io::Result<Self> {
        let (output, input) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Whoever has many pipes may be given small ones, which cost more than they save.
        fcntl_setpipe_size(&input, ROOM_BYTES)?;
        Ok(Self { output, input })
    }

    /// Moves bytes from a socket into the pipe.
    pub(super) fn fill(&self, from: &TcpStream, most: usize) -> io::Result<usize> {
        Ok(splice(from, None, &self.input, None, most, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
    }

    /// Moves bytes from the pipe to a socket. The process ignores SIGPIPE, as all programs in Rust do.
    pub(super) fn empty(&self, to: &TcpStream, most: usize) -> io::Result<usize> {
        Ok(splice(&self.output, None, to, None, most, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
    }
}

/// Writes two parts that more follows at once.
pub(super) fn write_ahead(to: &TcpStream, first: &[u8], second: &[u8]) -> io::Result<usize> {
    let parts = [IoSlice::new(first), IoSlice::new(second)];
    Ok(sendmsg(to, &parts, &mut SendAncillaryBuffer::default(), SendFlags::MORE | SendFlags::NOSIGNAL)?)
}
