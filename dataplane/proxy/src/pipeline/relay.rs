//! relay: the second half of the story. Counts what passes, forwards it as it comes, and closes the record.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dialect::{Endpoint, StreamObserver};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};
use vocab::Dialect;

use crate::edge::socket::Progress;
use crate::error::Error;
use crate::pipeline::accept::Call;
use crate::pipeline::record::{Ending, Record};
use crate::pipeline::send::Reply;
use crate::upstream::{Source, Trouble};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-turnpike-request-id");
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

/// The body of every response.
pub(crate) struct Answer {
    content: Content,
    /// Tells the connection that this request is over, when it is dropped.
    done: Option<Done>,
}

enum Content {
    Whole { bytes: Option<Bytes>, record: Option<Record> },
    Stream(Box<Stream>),
}

struct Done(Rc<Progress>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.request_ends();
    }
}

impl Answer {
    fn whole(bytes: Bytes, record: Record) -> Answer {
        Answer { content: Content::Whole { bytes: Some(bytes), record: Some(record) }, done: None }
    }

    pub(crate) fn tell_when_done(&mut self, progress: Rc<Progress>) {
        self.done = Some(Done(progress));
    }
}

/// Our own answer, not a provider's.
pub(super) fn own(status: http::StatusCode, body: Bytes, record: Record) -> Response<Answer> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    say_what_we_did(response.headers_mut(), &record, None);
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
    say_what_we_did(response.headers_mut(), &record, Some(()));
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
        Watch::Whole { pieces: Vec::new(), read: (call.dialect, call.endpoint) }
    };
    let mut stream = Stream { source, watch, dialect: call.dialect, out: VecDeque::new(), record, over: false };
    if let Some(first) = first {
        stream.take_in(first);
    }
    response.map(|()| Answer { content: Content::Stream(Box::new(stream)), done: None })
}

fn pass_back(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if RETURNED.contains(&name.as_str()) || name.as_str().starts_with(RETURNED_PREFIX) {
            to.append(name, value.clone());
        }
    }
}

fn say_what_we_did(headers: &mut HeaderMap, record: &Record, upstream: Option<()>) {
    if let Ok(id) = HeaderValue::try_from(record.id().to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    if upstream.is_none() {
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
}

enum Watch {
    Events(Box<StreamObserver>),
    /// A huge answer in one piece: what passed is kept (not copied) until its usage can be read.
    Whole {
        pieces: Vec<Bytes>,
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
            Watch::Whole { pieces, .. } => {
                pieces.push(piece.clone());
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
            Watch::Events(observer) => {
                let observed = observer.finish();
                let rest = Some(observed.leftover).filter(|rest| ending == Ending::Answered && !rest.is_empty());
                self.out.extend(rest);
                // An error that the provider told in mid-stream went on to the caller as it was.
                (observed.usage, if observed.error { Ending::BrokeOff } else { ending })
            }
            Watch::Whole { pieces, read: (dialect, endpoint) } => {
                let whole: Vec<u8> = pieces.iter().flatten().copied().collect();
                (dialect::read_usage(dialect, endpoint, &whole), ending)
            }
            Watch::Over => (None, ending),
        };
        self.record.usage(usage);
        self.record.ended(ending);
    }

    /// Between two events an error can be told in the caller's language; in the middle of one, or of a document, only
    /// a torn connection is honest.
    fn break_off(&mut self, trouble: &Trouble) -> Option<Bytes> {
        let between = matches!(&self.watch, Watch::Events(observer) if observer.is_between_events());
        self.complete(Ending::BrokeOff);
        let fault = self.record.broke_off(trouble).fault;
        between.then(|| dialect::write_fault_event(self.dialect, &fault))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Trouble>>> {
        loop {
            if let Some(bytes) = self.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if self.over {
                return Poll::Ready(None);
            }
            match std::task::ready!(self.source.poll_joined(cx)) {
                Some(Ok(piece)) => self.take_in(piece),
                None => self.complete(Ending::Answered),
                Some(Err(trouble)) => match self.break_off(&trouble) {
                    Some(event) => self.out.push_back(event),
                    None => return Poll::Ready(Some(Err(trouble))),
                },
            }
        }
    }
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
            Content::Stream(stream) => stream.over && stream.out.is_empty(),
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
