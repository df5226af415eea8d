//! One request, from its first byte to its last: the whole story. Read this file first.
//!
//! Endpoints and dialects differ in vocabulary, never in plot. Each stop is a file of the same name; a stop returns
//! what it makes, and only this page and the relay write facts into the record.

mod accept;
mod authenticate;
mod record;
mod relay;
mod route;
mod send;
mod shelf;

use std::rc::Rc;

use http::{Request, Response};
use hyper::body::Incoming;

pub(crate) use accept::Call;
pub(crate) use record::{Ending, Facts};
pub(crate) use relay::Answer;

use crate::error::Error;
use crate::gateway::{Core, now};
use accept::Address;
use record::Record;

pub(crate) async fn serve(core: &Rc<Core>, request: Request<Incoming>) -> Response<Answer> {
    let mut record = Record::open(core); // Closes by itself, whoever drops it last.
    match run(core, request, &mut record).await {
        Ok(response) => response,
        Err(error) => {
            record.refused(&error);
            relay::refusal(&error, record)
        }
    }
}

async fn run(core: &Rc<Core>, request: Request<Incoming>, record: &mut Record) -> Result<Response<Answer>, Error> {
    let snapshot = core.gateway.snapshot.load_full(); // One snapshot a request.
    let (head, body) = request.into_parts();

    // The envelope is enough to know what is asked and who asks, so a stranger's letter is never read.
    let envelope = accept::address(&head)
        .and_then(|address| Ok((address, authenticate::caller(&core.gateway, &snapshot, &head, now())?)));
    let (address, caller) = match envelope {
        Ok(envelope) => envelope,
        Err(error) => return Err(accept::hear_out(error, &head.headers, body).await),
    };
    record.caller(caller);
    let endpoint = match address {
        Address::Models => return shelf::list(&snapshot, caller, record),
        Address::Model(name) => return shelf::one(&snapshot, caller, &name, record),
        Address::Ask(endpoint) => endpoint,
    };

    let call = accept::read(endpoint, &head, body, core.gateway.limits).await?;
    record.call(&call);
    let plan = route::plan(&snapshot, caller, &call)?;
    record.plan(&plan);
    let reply = send::until_answered(core, &plan, &call, &head.headers, record).await?;
    record.reply(&reply);
    Ok(relay::stream(reply, &call, record.hand_over()))
}
