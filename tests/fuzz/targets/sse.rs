//! Any bytes as a stream, cut anywhere: the same events, the same output, the same facts.
#![no_main]

use bytes::Bytes;
use dialect::frame::sse::{Event, Framer};
use dialect::{Endpoint, HideUsage, Observed, StreamObserver};
use libfuzzer_sys::fuzz_target;
use vocab::Dialect;

fn observe(stream: &[u8], step: usize, hide: HideUsage) -> (Vec<u8>, Observed) {
    let mut observer = StreamObserver::new(Dialect::Openai, Endpoint::ChatCompletions, hide);
    let mut out: Vec<Bytes> = Vec::new();
    stream.chunks(step).for_each(|chunk| observer.feed(Bytes::copy_from_slice(chunk), &mut out));
    let mut observed = observer.finish();
    out.push(std::mem::take(&mut observed.leftover));
    (out.concat(), observed)
}

fn events(stream: &[u8], step: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut framer = Framer::with_max(1000);
    let mut events = Vec::new();
    for chunk in stream.chunks(step) {
        framer.feed(Bytes::copy_from_slice(chunk));
        loop {
            match framer.frame() {
                Ok(Some(frame)) => {
                    let event = Event::of(&frame);
                    events.extend(event.data.map(|data| (event.name.unwrap_or_default().to_vec(), data.into_owned())));
                }
                Ok(None) => break,
                Err(_) => return events,
            }
        }
    }
    events
}

fuzz_target!(|input: &[u8]| {
    let Some((step, stream)) = input.split_first() else { return };
    let step = usize::from(*step).max(1);
    assert_eq!(events(stream, step), events(stream, 1));
    let whole = stream.len().max(1);
    let (seen, facts) = observe(stream, whole, HideUsage::No);
    assert_eq!(seen, stream);
    assert_eq!(observe(stream, step, HideUsage::No), (seen, facts.clone()));
    let (sifted, again) = observe(stream, whole, HideUsage::Yes);
    assert_eq!(observe(stream, step, HideUsage::Yes), (sifted, again.clone()));
    assert_eq!(facts, again);
});
