//! `turnpike up`: both planes on this machine, and a first request that works.
//!
//! ```text
//! home -> ports -> children -> ready -> demo -> words -> watch over them until told to stop
//! ```

mod binaries;
mod children;
mod demo;
mod home;
mod ports;
mod ready;
mod stop;
mod words;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use children::Child;
use home::Home;
use ports::Ports;
use stop::Stop;

use crate::api::{Api, Token};
use crate::args::UpArgs;
use crate::fleet::{self, Expect};
use crate::screen::{self, Paint};
use crate::trouble::Trouble;

/// From a cold start, on a slow machine, to the first request.
const READY_TIME_MAX: Duration = Duration::from_secs(60);

struct Planes {
    control: Child,
    data: Child,
}

pub(crate) async fn up(args: &UpArgs) -> Result<(), Trouble> {
    let mut stop = Stop::listen()?;
    let home = Home::open(&args.data_dir)?;
    let ports = Ports::choose(args)?;
    ports.notes.iter().for_each(screen::note);
    let mut planes = Planes {
        control: Child::new(
            binaries::find("turnpike-controlplane")?,
            control_plane(args, &home, &ports),
            home.log("controlplane"),
        ),
        data: Child::new(binaries::find("turnpike-dataplane")?, data_plane(&home, &ports), home.log("dataplane")),
    };
    let outcome = tokio::select! {
        outcome = planes.run(&home, &ports) => outcome,
        () = stop.asked() => Ok(()),
    };
    if outcome.is_ok() {
        screen::note("\nstopping: requests in flight are finished first; once more to stop at once");
    }
    planes.stop(&mut stop).await;
    outcome
}

impl Planes {
    /// Comes back only with trouble.
    async fn run(&mut self, home: &Home, ports: &Ports) -> Result<(), Trouble> {
        self.control.start()?;
        self.data.start()?;
        let ready = ready::both([(&mut self.control, ports.api_ops), (&mut self.data, ports.proxy_ops)]);
        let took = match tokio::time::timeout(READY_TIME_MAX, ready).await {
            Ok(ready) => ready?,
            Err(_) => return Err(self.too_slow()),
        };
        let api = Api::local(ports.api, Token::read(&home.admin_token)?);
        let demo = demo::offer(&api, &home.demo_key).await?;
        fleet::caught_up(&api, demo.revision, Expect::AtLeastOne, READY_TIME_MAX).await?;
        let told = words::Told { home, ports, offer: demo.offer, program: binaries::own_name(), took };
        screen::out(&words::text(&told, Paint::of(&io::stdout())))?;
        tokio::join!(self.control.keep(), self.data.keep());
        Ok(())
    }

    fn too_slow(&mut self) -> Trouble {
        let last = [&self.control, &self.data].map(|child| child.last_words()).concat();
        Trouble::Failed(format!("not ready after {} s.\n{last}", READY_TIME_MAX.as_secs()))
    }

    /// The data plane first: what it still counts while it drains goes to the control plane.
    async fn stop(&mut self, stop: &mut Stop) {
        tokio::select! {
            () = async { self.data.stop().await; self.control.stop().await } => {}
            () = stop.asked() => {
                screen::note("stopping at once");
                self.data.kill().await;
                self.control.kill().await;
            }
        }
    }
}

fn control_plane(args: &UpArgs, home: &Home, ports: &Ports) -> Vec<OsString> {
    let mut line = Line::default();
    line.address("--api-listen", ports.api);
    line.address("--planes-listen", ports.planes);
    line.address("--ops-listen", ports.api_ops);
    line.path("--data-dir", &home.folder);
    line.path("--admin-token-file", &home.admin_token);
    line.path("--join-token-file", &home.join_token);
    line.path("--seal-keys-file", &home.seal_keys);
    for (flag, value) in
        [("--store", &args.store), ("--etcd-endpoints", &args.etcd_endpoints), ("--etcd-prefix", &args.etcd_prefix)]
    {
        if let Some(value) = value {
            line.word(flag, value);
        }
    }
    line.0
}

fn data_plane(home: &Home, ports: &Ports) -> Vec<OsString> {
    let mut line = Line::default();
    line.address("--listen", ports.proxy);
    line.address("--ops-listen", ports.proxy_ops);
    line.word("--control-plane", &format!("http://127.0.0.1:{}", ports.planes));
    line.path("--join-token-file", &home.join_token);
    line.path("--seal-keys-file", &home.seal_keys);
    line.path("--data-dir", &home.proxy);
    line.word("--name", "local");
    line.0
}

/// Arguments of a child. Secrets go by the path of their file: the list of processes is public.
#[derive(Default)]
struct Line(Vec<OsString>);

impl Line {
    fn word(&mut self, flag: &str, value: &str) {
        self.0.extend([flag.into(), value.into()]);
    }

    fn address(&mut self, flag: &str, port: u16) {
        self.word(flag, &format!("127.0.0.1:{port}"));
    }

    fn path(&mut self, flag: &str, path: &Path) {
        self.0.extend([flag.into(), path.into()]);
    }
}
