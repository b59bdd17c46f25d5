//! One wire exchange whose body is read piece by piece.
//!
//! The failure prevented: a body that is held whole before anybody may look at it. What is read at
//! once is bounded, nothing is read before it is asked for, and the framing is checked as for any
//! other answer; only then does the connection go back to its pool. Dropping it closes the
//! connection.

use super::exchange::{send, ExchangeError, Reader, Request};
use crate::h1::{BodyDecoder, Framing};
use crate::worker::Worker;

/// Most bytes of one piece.
const PIECE_MAX: usize = 64 * 1024;

/// An answer whose head has come.
#[derive(Debug)]
pub struct Opened {
    reader: Reader,
    decoder: BodyDecoder,
    upstream: usize,
    /// Bytes of `reader.buffer` that were taken.
    from: usize,
    /// The answer was the peer's to end, and ended.
    over: bool,
}

/// Sends `request` and reads the head of its answer.
pub async fn open(worker: &Worker, mut request: Request<'_>) -> Result<Opened, ExchangeError> {
    let mut reader = send(worker, &mut request).await?;
    let from = reader.read_head(worker, &request).await?;
    let came = reader.buffer.len() as u64;
    worker.metrics.upstreams[request.upstream]
        .bytes_in
        .add(came);
    let decoder = BodyDecoder::new(reader.connection.head.framing, request.body_max)?;
    Ok(Opened {
        over: decoder.is_done(),
        reader,
        decoder,
        upstream: request.upstream,
        from,
    })
}

impl Opened {
    pub fn head_status(&self) -> u16 {
        self.reader.connection.head.status
    }

    /// As the peer said it, when it is text.
    pub fn content_type(&self) -> Option<&str> {
        let head = &self.reader.connection.head;
        let value = head.header(&self.reader.buffer, "content-type")?;
        std::str::from_utf8(value).ok()
    }

    pub fn length(&self) -> Option<u64> {
        match self.reader.connection.head.framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        }
    }

    /// The next piece of the body, which is not empty; none after the last.
    pub async fn piece(&mut self, worker: &Worker) -> Result<Option<Vec<u8>>, ExchangeError> {
        let mut piece = Vec::new();
        while !self.over {
            let reader = &mut self.reader;
            let step = self
                .decoder
                .decode(&reader.buffer[self.from..], &mut piece)?;
            self.from += step.consumed;
            self.over = step.done;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
            if step.done {
                break;
            }
            reader.buffer.drain(..self.from);
            self.from = 0;
            // A buffer that was filled to its end has more behind it: fewer, larger pieces.
            let room = reader.buffer.capacity();
            if room < PIECE_MAX && reader.buffer.is_empty() {
                reader.buffer.reserve(PIECE_MAX);
            }
            let count = reader.read_some(worker, None).await?;
            worker.metrics.upstreams[self.upstream]
                .bytes_in
                .add(count as u64);
            if count == 0 {
                self.decoder.finish().map_err(|_| ExchangeError::Reset)?;
                self.over = true;
            }
        }
        Ok(None)
    }

    /// After the last piece: the connection may serve another call, if nothing is left in it.
    pub fn finish(self, worker: &Worker) -> Result<(), ExchangeError> {
        let Reader {
            connection, buffer, ..
        } = self.reader;
        if buffer.len() > self.from {
            return Err(ExchangeError::Protocol);
        }
        worker.buffers.give(buffer);
        if connection.head.keep_alive {
            worker
                .pools
                .give(self.upstream, connection, worker.now.get());
        }
        Ok(())
    }
}
