//! Which ports to listen on: the usual ones, the next free ones if those are taken, or exactly the ones that were given.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use crate::args::UpArgs;
use crate::trouble::Trouble;

/// How far from the usual port a free one is looked for.
const DISTANCE_MAX: u16 = 200;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) proxy: u16,
    pub(super) api: u16,
    pub(super) planes: u16,
    pub(super) proxy_ops: u16,
    pub(super) api_ops: u16,
    /// What the operator should hear about them.
    pub(super) notes: Vec<String>,
}

/// A port that nobody else can have while this is held.
struct Held {
    port: u16,
    _listener: Option<TcpListener>,
}

struct Wish {
    flag: &'static str,
    usual: u16,
    given: Option<u16>,
}

impl Ports {
    pub(super) fn choose(args: &UpArgs) -> Result<Ports, Trouble> {
        let wish = |flag, usual, given| Wish { flag, usual, given };
        let wishes = [
            wish("--proxy-port", 8080, args.proxy_port),
            wish("--api-port", 8090, args.api_port),
            wish("--planes-port", 8091, args.planes_port),
            wish("--proxy-ops-port", 9901, args.proxy_ops_port),
            wish("--api-ops-port", 9902, args.api_ops_port),
        ];
        choose(&wishes, &bind)
    }
}

fn choose(wishes: &[Wish; 5], take: &dyn Fn(u16) -> io::Result<Held>) -> Result<Ports, Trouble> {
    // All are held until all are chosen, so that no two are the same one.
    let mut held: [Option<Held>; 5] = [const { None }; 5];
    let mut notes = Vec::new();
    // What was given goes first: no default may take it away.
    for (wish, slot) in wishes.iter().zip(&mut held) {
        if let Some(port) = wish.given {
            *slot = Some(take(port).map_err(|why| {
                Trouble::Local(format!(
                    "{} {port} cannot be had: {why}; give another, or 0 for any free one",
                    wish.flag
                ))
            })?);
        }
    }
    for (wish, slot) in wishes.iter().zip(&mut held).filter(|(wish, _)| wish.given.is_none()) {
        let near = near(wish.usual, wishes, take)?;
        if near.port != wish.usual {
            let (usual, port, flag) = (wish.usual, near.port, wish.flag);
            notes.push(format!("port {usual} is taken: using {port} instead (choose with {flag})"));
        }
        *slot = Some(near);
    }
    let [proxy, api, planes, proxy_ops, api_ops] =
        held.each_ref().map(|held| held.as_ref().map_or(0, |held| held.port));
    Ok(Ports { proxy, api, planes, proxy_ops, api_ops, notes })
}

fn near(usual: u16, wishes: &[Wish; 5], take: &dyn Fn(u16) -> io::Result<Held>) -> Result<Held, Trouble> {
    let belongs_to_another = |port: u16| port != usual && wishes.iter().any(|wish| wish.usual == port);
    let last = usual.saturating_add(DISTANCE_MAX);
    let mut ports = (usual..=last).filter(|port| !belongs_to_another(*port));
    ports.find_map(|port| take(port).ok()).ok_or_else(|| Trouble::Local(format!("no free port from {usual} to {last}")))
}

fn bind(port: u16) -> io::Result<Held> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    Ok(Held { port: listener.local_addr()?.port(), _listener: Some(listener) })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;

    /// On a machine where these ports are taken, and 0 gives 50000 and on.
    fn check(taken: &[u16], given: [Option<u16>; 5]) -> Result<Ports, Trouble> {
        let flags = ["--a", "--b", "--c", "--d", "--e"];
        let usual = [8080, 8090, 8091, 9901, 9902];
        let wishes = std::array::from_fn(|at| Wish { flag: flags[at], usual: usual[at], given: given[at] });
        let taken: RefCell<BTreeSet<u16>> = RefCell::new(taken.iter().copied().collect());
        choose(&wishes, &|port| {
            let mut taken = taken.borrow_mut();
            let port = if port == 0 { (50_000..).find(|port| !taken.contains(port)).unwrap() } else { port };
            let free = taken.insert(port);
            if free { Ok(Held { port, _listener: None }) } else { Err(io::ErrorKind::AddrInUse.into()) }
        })
    }

    fn all(ports: &Ports) -> [u16; 5] {
        [ports.proxy, ports.api, ports.planes, ports.proxy_ops, ports.api_ops]
    }

    #[test]
    fn a_usual_port_that_is_taken_gives_way_to_the_next_and_says_so() {
        let ports = check(&[8080, 8081, 8090], [None; 5]).unwrap();
        // 8091 is next after 8090, but belongs to the planes.
        assert_eq!(all(&ports), [8082, 8092, 8091, 9901, 9902]);
        assert_eq!(
            ports.notes,
            [
                "port 8080 is taken: using 8082 instead (choose with --a)",
                "port 8090 is taken: using 8092 instead (choose with --b)",
            ]
        );
    }

    #[test]
    fn a_given_port_that_is_taken_is_refused() {
        let why = check(&[7000], [None, Some(7000), None, None, None]).unwrap_err().to_string();
        assert_eq!(why, "--b 7000 cannot be had: address in use; give another, or 0 for any free one");
    }

    #[test]
    fn any_free_port_is_five_different_ones() {
        let ports = check(&[50_001], [Some(0); 5]).unwrap();
        assert_eq!(all(&ports), [50_000, 50_002, 50_003, 50_004, 50_005]);
        assert!(ports.notes.is_empty());
    }

    #[test]
    fn a_default_does_not_take_what_was_given_to_another() {
        let ports = check(&[], [None, Some(8080), None, None, None]).unwrap();
        assert_eq!(all(&ports), [8081, 8080, 8091, 9901, 9902]);
    }

    #[test]
    fn a_machine_without_free_ports_is_told_so() {
        let taken: Vec<u16> = (8080..9000).collect();
        let why = check(&taken, [None; 5]).unwrap_err().to_string();
        assert_eq!(why, "no free port from 8080 to 8280");
    }

    #[test]
    fn a_port_that_is_held_cannot_be_had_twice() {
        let held = bind(0).unwrap();
        assert!(bind(held.port).is_err());
    }
}
