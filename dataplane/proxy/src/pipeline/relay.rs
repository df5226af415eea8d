//! relay: the second half of the story. Counts what passes, forwards it as it comes, and closes the record.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use dialect::{Endpoint, StreamObserver};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};
use vocab::{Dialect, Usage};

use crate::edge::socket::Presence;
use crate::error::Error;
use crate::pipeline::accept::Call;
use crate::pipeline::record::{Ending, Record};
use crate::pipeline::send::Reply;
use crate::upstream::{Source, Trouble};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-turnpike-request-id");
/// The provider's name for it, or ours where there is none: clients show this one.
const ITS_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROVIDER: HeaderName = HeaderName::from_static("x-turnpike-provider");
const MODEL: HeaderName = HeaderName::from_static("x-turnpike-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-turnpike-attempts");
const OVERHEAD: HeaderName = HeaderName::from_static("x-turnpike-overhead-us");

/// So that the map of headers need not grow while it is filled.
const HEADERS_EXPECTED: usize = 16;
/// What of a provider's head goes back to the caller. All else is between the provider and us.
const RETURNED: [&str; 8] = [
    "content-type",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "openai-processing-ms",
    "openai-version",
    "x-request-id",
    "cache-control",
];
const RETURNED_PREFIX: &str = "x-ratelimit-";

/// Usage stands at the end of an answer, with little behind it.
const TAIL_BYTES: usize = 64 << 10;

/// The body of every response.
pub(crate) struct Answer {
    content: Content,
    /// Until it is dropped, the connection knows that a request is being answered.
    presence: Option<Presence>,
}

enum Content {
    Whole { bytes: Option<Bytes>, record: Option<Record> },
    Stream(Box<Stream>),
}

impl Answer {
    fn whole(bytes: Bytes, record: Record) -> Answer {
        Answer { content: Content::Whole { bytes: Some(bytes), record: Some(record) }, presence: None }
    }

    pub(crate) fn accompany(&mut self, presence: Presence) {
        self.presence = Some(presence);
    }
}

/// Our own answer, not a provider's.
pub(super) fn own(status: http::StatusCode, body: Bytes, record: Record) -> Response<Answer> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    say_what_we_did(response.headers_mut(), &record);
    response.map(|()| Answer::whole(body, record))
}

pub(super) fn refusal(error: &Error, mut record: Record) -> Response<Answer> {
    let verdict = error.verdict();
    let body = dialect::write_fault(Dialect::Openai, &verdict.fault);
    record.ended(Ending::Refused);
    own(verdict.status, body, record)
}

pub(super) fn stream(reply: Reply, call: &Call, mut record: Record) -> Response<Answer> {
    let Reply { head, first, source, streamed, hide_usage } = reply;
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    *response.headers_mut() = HeaderMap::with_capacity(HEADERS_EXPECTED);
    pass_back(&head.headers, response.headers_mut());
    say_what_we_did(response.headers_mut(), &record);
    if source.ended && !streamed {
        let body = first.unwrap_or_default();
        record.usage(dialect::read_usage(call.dialect, call.endpoint, &body));
        record.ended(Ending::Answered);
        return response.map(|()| Answer::whole(body, record));
    }
    if let Some(length) = head.headers.get(CONTENT_LENGTH).filter(|_| !streamed) {
        response.headers_mut().insert(CONTENT_LENGTH, length.clone());
    }
    let watch = if streamed {
        Watch::Events(Box::new(StreamObserver::new(call.dialect, call.endpoint, hide_usage)))
    } else {
        Watch::Whole { tail: BytesMut::new(), read: (call.dialect, call.endpoint) }
    };
    let mut stream =
        Stream { source, watch, dialect: call.dialect, out: VecDeque::new(), record, over: false, torn: None };
    if let Some(first) = first {
        stream.take_in(first);
    }
    response.map(|()| Answer { content: Content::Stream(Box::new(stream)), presence: None })
}

fn pass_back(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if RETURNED.contains(&name.as_str()) || name.as_str().starts_with(RETURNED_PREFIX) {
            to.append(name, value.clone());
        }
    }
}

fn say_what_we_did(headers: &mut HeaderMap, record: &Record) {
    if let Ok(id) = HeaderValue::try_from(record.id().to_string()) {
        if !headers.contains_key(ITS_REQUEST_ID) {
            headers.insert(ITS_REQUEST_ID, id.clone());
        }
        headers.insert(REQUEST_ID, id);
    }
    if record.attempts() == 0 {
        return;
    }
    for (name, text) in [(PROVIDER, record.provider()), (MODEL, record.model())] {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(name, value);
        }
    }
    headers.insert(ATTEMPTS, HeaderValue::from(record.attempts()));
    let overhead = u64::try_from(record.overhead().as_micros()).unwrap_or(u64::MAX);
    headers.insert(OVERHEAD, HeaderValue::from(overhead));
}

/// An answer on its way: counted, forwarded as it comes.
struct Stream {
    source: Source,
    watch: Watch,
    dialect: Dialect,
    out: VecDeque<Bytes>,
    record: Record,
    /// The last piece is in `out`, or has left.
    over: bool,
    /// What ended it in a place where nothing can be said any more.
    torn: Option<Trouble>,
}

enum Watch {
    Events(Box<StreamObserver>),
    /// A huge answer in one piece: its end is kept, since that is where usage stands.
    Whole {
        tail: BytesMut,
        read: (Dialect, Endpoint),
    },
    Over,
}

impl Stream {
    fn take_in(&mut self, piece: Bytes) {
        match &mut self.watch {
            Watch::Events(observer) => {
                observer.feed(piece, &mut self.out);
            }
            Watch::Whole { tail, .. } => {
                keep_end(tail, &piece);
                self.out.push_back(piece);
            }
            Watch::Over => {}
        }
        if self.source.ended {
            self.complete(Ending::Answered);
        }
    }

    /// Reads the sum off and closes the record, once.
    fn complete(&mut self, ending: Ending) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let (usage, ending) = match std::mem::replace(&mut self.watch, Watch::Over) {
            Watch::Events(observer) => self.complete_events(*observer, ending),
            Watch::Whole { tail, read: (dialect, endpoint) } => (dialect::read_usage(dialect, endpoint, &tail), ending),
            Watch::Over => (None, ending),
        };
        self.record.usage(usage);
        self.record.ended(ending);
    }

    /// A stream that ends without having said why it ends was cut off, and must not look as if it had been finished.
    fn complete_events(&mut self, observer: StreamObserver, ending: Ending) -> (Option<Usage>, Ending) {
        let is_between = observer.is_between_events();
        let observed = observer.finish();
        self.record.at_least(observed.events);
        if ending != Ending::Answered {
            return (observed.usage, ending);
        }
        if observed.done || observed.finished || observed.error {
            self.out.extend(Some(observed.leftover).filter(|rest| !rest.is_empty()));
            // An error that the provider told in mid-stream went on to the caller as it was.
            return (observed.usage, if observed.error { Ending::BrokeOff } else { ending });
        }
        self.tell(Trouble::Broken("its stream ended before it was complete".into()), is_between);
        (observed.usage, Ending::BrokeOff)
    }

    /// Between two events an error can be told in the caller's language; in the middle of one, or of a document, only
    /// a torn connection is honest.
    fn tell(&mut self, trouble: Trouble, is_between: bool) {
        let fault = self.record.broke_off(&trouble).fault;
        if is_between {
            self.out.push_back(dialect::write_fault_event(self.dialect, &fault));
        } else {
            self.torn = Some(trouble);
        }
    }

    fn break_off(&mut self, trouble: Trouble) {
        let is_between = matches!(&self.watch, Watch::Events(observer) if observer.is_between_events());
        self.complete(Ending::BrokeOff);
        self.tell(trouble, is_between);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Trouble>>> {
        loop {
            if let Some(bytes) = self.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if self.over {
                return Poll::Ready(self.torn.take().map(Err));
            }
            match std::task::ready!(self.source.poll_joined(cx)) {
                Some(Ok(piece)) => self.take_in(piece),
                None => self.complete(Ending::Answered),
                Some(Err(trouble)) => self.break_off(trouble),
            }
        }
    }
}

fn keep_end(tail: &mut BytesMut, piece: &[u8]) {
    let new = piece.get(piece.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
    let surplus = (tail.len() + new.len()).saturating_sub(TAIL_BYTES);
    tail.advance(surplus);
    tail.extend_from_slice(new);
}

/// A caller that leaves in mid-stream leaves what was counted so far.
impl Drop for Stream {
    fn drop(&mut self) {
        self.complete(Ending::Left);
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Trouble;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Trouble>>> {
        match &mut self.get_mut().content {
            Content::Whole { bytes, record } => {
                *record = None;
                Poll::Ready(bytes.take().filter(|bytes| !bytes.is_empty()).map(|bytes| Ok(Frame::data(bytes))))
            }
            Content::Stream(stream) => stream.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole { bytes, .. } => bytes.as_ref().is_none_or(Bytes::is_empty),
            Content::Stream(stream) => stream.over && stream.out.is_empty() && stream.torn.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole { bytes, .. } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
            }
            Content::Stream(_) => SizeHint::default(),
        }
    }
}
