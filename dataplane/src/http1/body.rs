//! A body as it comes in, and as it goes on.

use super::{Fault, Fields, Framing, Name, Options, ResponseFraming, chunked::Chunked};

/// Most names of trailers that are compared with what Connection names.
const MAX_COMPARED: usize = 64;

/// How the data of a chunked body is passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// In chunks, without their extensions.
    #[default]
    Chunked,
    /// Bare, for a recipient that knows no chunks.
    Data,
}

/// A body that is being read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    place: Place,
    form: Form,
    data_bytes: u64,
    trailers: Vec<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Over,
    /// This many bytes are left.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// What became of bytes that were shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// As many of them, from the first, are done with. The rest is shown again, with what follows it.
    pub consumed: usize,
    /// As many, from the first, are to be passed on in place of those.
    pub ready: usize,
}

impl Body {
    /// A request's body.
    pub fn of_request(framing: Framing, form: Form) -> Self {
        Self::new(
            match framing {
                Framing::Length(0) => Place::Over,
                Framing::Length(length) => Place::Length(length),
                Framing::Chunked => Place::Chunked(Chunked::default()),
            },
            form,
        )
    }

    /// A response's body.
    pub fn of_response(framing: ResponseFraming, form: Form) -> Self {
        Self::new(
            match framing {
                ResponseFraming::None | ResponseFraming::Length(0) => Place::Over,
                ResponseFraming::Length(length) => Place::Length(length),
                ResponseFraming::Chunked => Place::Chunked(Chunked::default()),
                ResponseFraming::UntilClose => Place::UntilClose,
            },
            form,
        )
    }

    fn new(place: Place, form: Form) -> Self {
        Self { place, form, data_bytes: 0, trailers: Vec::new() }
    }

    /// Lets trailers pass that Trailer fields announce, but for those that Connection takes away (RFC 9110 section 7.6.1).
    pub fn announce_all(&mut self, fields: Fields<'_>, options: Options) {
        let announced = fields.all(Name::Trailer);
        if !options.nominates {
            return announced.for_each(|names| self.announce(names));
        }
        let names = announced.flat_map(|names| names.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
        names.take(MAX_COMPARED).filter(|name| !fields.nominates(name)).for_each(|name| self.announce(name));
    }

    /// Lets trailers pass that these names announce.
    pub fn announce(&mut self, names: &[u8]) {
        if let Place::Chunked(chunked) = &mut self.place {
            if !chunked.announced.is_empty() {
                chunked.announced.push(b',');
            }
            chunked.announced.extend_from_slice(names);
        }
    }

    /// Reads what `bytes` begin with and puts in its place what is to be passed on.
    ///
    /// # Errors
    /// It is no body.
    pub fn take(&mut self, bytes: &mut [u8]) -> Result<Taken, Fault> {
        match &mut self.place {
            Place::Over => Ok(Taken::default()),
            Place::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                self.pass(length as u64);
                Ok(Taken { consumed: length, ready: length })
            }
            Place::Chunked(chunked) => {
                let progress = chunked.rewrite(bytes, self.form)?;
                self.data_bytes += progress.data as u64;
                if progress.done {
                    self.trailers = std::mem::take(&mut chunked.trailers);
                    self.place = Place::Over;
                }
                Ok(Taken { consumed: progress.passed, ready: progress.written })
            }
            Place::UntilClose => {
                self.data_bytes += bytes.len() as u64;
                Ok(Taken { consumed: bytes.len(), ready: bytes.len() })
            }
        }
    }

    /// So much of a body whose length is known, and no more than is left, goes on without being shown.
    pub fn pass(&mut self, length: u64) {
        if let Place::Length(left) = &mut self.place {
            *left -= length;
            self.data_bytes += length;
            if *left == 0 {
                self.place = Place::Over;
            }
        }
    }

    /// Whether all of it was taken.
    pub fn is_over(&self) -> bool {
        matches!(self.place, Place::Over)
    }

    /// Whether the connection's end is its end.
    pub fn is_until_close(&self) -> bool {
        matches!(self.place, Place::UntilClose)
    }

    /// The connection has ended, and with it a body that lasts so long.
    pub fn close(&mut self) {
        if self.is_until_close() {
            self.place = Place::Over;
        }
    }

    /// Lines of trailers that may be passed on; known when it is over.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Bytes that are left, if that is known.
    pub fn left(&self) -> Option<u64> {
        match self.place {
            Place::Over => Some(0),
            Place::Length(left) => Some(left),
            Place::Chunked(_) | Place::UntilClose => None,
        }
    }

    /// How its data is passed on.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Bytes of data so far.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }
}
