//! The body of a request on its way to a provider: a few pieces that are already there.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Cheap to clone, so that another attempt can send the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Letter {
    /// Last piece first, so that taking one is a pop.
    pieces: Vec<Bytes>,
    length: u64,
}

impl Letter {
    pub(crate) fn new(pieces: impl Iterator<Item = Bytes>) -> Letter {
        let mut pieces: Vec<Bytes> = pieces.filter(|piece| !piece.is_empty()).collect();
        pieces.reverse();
        let length = pieces.iter().map(|piece| u64::try_from(piece.len()).unwrap_or(u64::MAX)).sum();
        Letter { pieces, length }
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// All of it in one piece, for a reader that wants that.
    pub(crate) fn whole(mut self) -> Bytes {
        match self.pieces.len() {
            0 | 1 => self.pieces.pop().unwrap_or_default(),
            _ => self.pieces.iter().rev().flatten().copied().collect::<Vec<u8>>().into(),
        }
    }
}

impl Body for Letter {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        Poll::Ready(this.pieces.pop().map(|piece| {
            this.length = this.length.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            Ok(Frame::data(piece))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
