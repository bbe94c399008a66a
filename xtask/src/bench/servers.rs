//! The servers of a row: the node, and those beside it that are installed here.

use super::job::Peer;
use super::server::{self, Server};
use super::{Bench, say};
use crate::run::Result;

/// Running servers.
pub struct Servers(Vec<(Peer, Server)>);

impl Servers {
    /// Starts a node and the peers that are named; one that is not installed is left out.
    pub fn start(bench: &mut Bench, peers: &[Peer]) -> Result<Servers> {
        let mut servers = vec![(Peer::Ws, server::node(&server::fresh_folder("node")?)?)];
        for peer in peers {
            let folder = server::fresh_folder(peer.name())?;
            let (name, package, server) = match peer {
                // Both are doors of the node.
                Peer::Ws | Peer::Http => continue,
                Peer::Redis => ("Redis", "redis-server", server::redis(&folder)?),
                Peer::Postgres => ("PostgreSQL", "postgresql", server::postgres(&folder)?),
                Peer::Nats => ("NATS", "nats-server", server::nats(&folder)?),
                Peer::Nchan => ("nchan", "libnginx-mod-nchan", server::nchan(&folder)?),
            };
            let known = &mut bench.report.peers;
            match server {
                Some(server) => {
                    if !known.iter().any(|known| known.starts_with(name)) {
                        known.push(server::version(name));
                    }
                    servers.push((*peer, server));
                }
                None => say(&format!(
                    "{name} is not here and is left out: apt-get install {package}"
                )),
            }
        }
        Ok(Servers(servers))
    }

    /// Returns the server that a column of the report is of, if it is here.
    pub fn of(&self, peer: Peer) -> Option<&Server> {
        let wanted = match peer {
            Peer::Http => Peer::Ws,
            other => other,
        };
        let found = self.0.iter().find(|(peer, _)| *peer == wanted);
        found.map(|(_, server)| server)
    }
}
