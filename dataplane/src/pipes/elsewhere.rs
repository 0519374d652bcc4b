//! Systems without splice: there are no pipes.

use std::{
    convert::Infallible,
    io::{self, IoSlice},
};

use tokio::net::TcpStream;

/// Both ends of a pipe that there cannot be.
pub(super) struct Ends(Infallible);

impl Ends {
    /// Always an error.
    pub(super) fn open() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn fill(&self, _from: &TcpStream, _most: usize) -> io::Result<usize> {
        match self.0 {}
    }

    pub(super) fn empty(&self, _to: &TcpStream, _most: usize) -> io::Result<usize> {
        match self.0 {}
    }
}

/// Writes two parts that more follows at once.
pub(super) fn write_ahead(to: &TcpStream, first: &[u8], second: &[u8]) -> io::Result<usize> {
    to.try_write_vectored(&[IoSlice::new(first), IoSlice::new(second)])
}
