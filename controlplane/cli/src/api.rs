//! A client of the control plane's REST API.

mod address;
mod answer;
mod connect;
mod token;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;

pub(crate) use address::{Address, encode, query};
pub(crate) use token::Token;

use crate::args::ApiArgs;
use crate::screen;
use crate::trouble::Trouble;

/// Long enough for a transaction of a hundred thousand documents.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);
const PAGE: &str = "1000";

#[derive(Debug)]
pub(crate) struct Api {
    address: Address,
    token: Token,
    tls: Option<connect::Tls>,
}

impl Api {
    pub(crate) fn new(args: &ApiArgs) -> Result<Api, Trouble> {
        let address = Address::parse(&args.api).map_err(Trouble::Local)?;
        let tls = if address.is_tls() { Some(connect::Tls::new(args.ca.as_deref())?) } else { None };
        let token = Token::find(args)?;
        if !address.is_tls() && !address.is_loopback() {
            screen::warn(format_args!("the admin token goes to {address} unencrypted; use https:// if you can"));
        }
        Ok(Api { address, token, tls })
    }

    /// The API of a control plane that was started here.
    pub(crate) fn local(port: u16, token: Token) -> Api {
        Api { address: Address::loopback(port), token, tls: None }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Trouble> {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), Trouble> {
        self.ask(Method::DELETE, path, None).await.map(|_| ())
    }

    /// All pages of a list, one after the other.
    pub(crate) async fn list(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Vec<Value>, Trouble> {
        let mut rows = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let mut all = parameters.to_vec();
            all.push(("limit", PAGE));
            if let Some(cursor) = &cursor {
                all.push(("cursor", cursor));
            }
            let mut page = self.get(&query(path, &all)).await?;
            let next = page.get("next").and_then(Value::as_str).map(str::to_owned);
            let Some(Value::Array(data)) = page.get_mut("data").map(Value::take) else {
                return Err(answer::strange(&self.address, "a list without `data`"));
            };
            rows.extend(data);
            // The same cursor again would go round for ever.
            if next.is_none() || next == cursor {
                return Ok(rows);
            }
            cursor = next;
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Trouble> {
        let request = Request::builder()
            .method(method)
            .uri(self.address.path(path))
            .header(HOST, self.address.authority())
            .header(USER_AGENT, concat!("turnpike/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, self.token.header()?);
        let request = match body {
            None => request.body(Full::default()),
            Some(value) => {
                request.header(CONTENT_TYPE, "application/json").body(Full::new(Bytes::from(value.to_string())))
            }
        };
        let request = request.map_err(|why| Trouble::Local(format!("cannot be asked for: {why}")))?;
        let exchange = async {
            let sender = connect::connect(&self.address, self.tls.as_ref()).await?;
            answer::exchange(sender, request, &self.address).await
        };
        let answered = tokio::time::timeout(ANSWER_TIME_MAX, exchange).await;
        let answer = answered.map_err(|_| {
            Trouble::Unreachable(format!("{} did not answer within {} s", self.address, ANSWER_TIME_MAX.as_secs()))
        })??;
        answer.value(&self.address, &self.token)
    }
}
