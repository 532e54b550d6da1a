//! Links between edges and cores: ordered until they break, and made again.
//!
//! A core announces what it serves before it lets go of anything of it. On a new link the edge first says, in one
//! message, whom it holds, so that what is served from then on reaches them.

use anser_model::{N, Slot};

use super::edge::ToEdge;
use super::plan::Shape;
use super::world::World;

/// How long a broken link stays down at most.
const RELINK_MS: u64 = 800;

/// The link between an edge and a core: ordered, until it breaks.
#[derive(Default)]
pub(super) struct Link {
    up: bool,
    epoch: u64,
    to_node_at: u64,
    to_edge_at: u64,
    pub cut_until: u64,
    coming: bool,
}

impl Link {
    /// So much time passes at once.
    pub fn pass(&mut self, ms: u64) {
        (self.to_node_at, self.to_edge_at) = (self.to_node_at + ms, self.to_edge_at + ms);
    }
}

impl World {
    pub(super) fn unlink(&mut self, edge: usize, node: usize) {
        let link = self.links.entry((edge, node)).or_default();
        if !link.up {
            return;
        }
        link.up = false;
        link.epoch += 1;
        self.note(format_args!("edge {edge} and core {node} lose each other"));
        self.edges[edge].lose(node);
        // A core forgets whom an edge held that it lost, an edge asks again.
        for account in self.edges[edge].held() {
            self.route(node, edge, account, false);
        }
        for account in self.edges[edge].watched() {
            self.watch_at(node, edge, account, false);
        }
        // What a session waits for may have been lost on the way.
        for session in self.edges[edge].waiting() {
            self.close_seat(edge, session);
        }
        self.link_later(edge, node);
    }

    pub(super) fn link_later(&mut self, edge: usize, node: usize) {
        let link = self.links.entry((edge, node)).or_default();
        if link.up || link.coming {
            return;
        }
        link.coming = true;
        let delay = if self.plan.shape == Shape::OneMachine { 0 } else { 1 + self.chance.below(RELINK_MS) };
        self.after(delay, move |world| {
            let now = world.now;
            let is_possible = world.edges[edge].up && world.nodes[node].up;
            let link = world.links.entry((edge, node)).or_default();
            link.coming = false;
            if !is_possible {
                return;
            }
            if link.cut_until > now {
                return world.link_later(edge, node);
            }
            link.up = true;
            link.epoch += 1;
            link.to_edge_at = now;
            link.to_node_at = now;
            world.note(format_args!("edge {edge} and core {node} are linked"));
            world.linked(edge, node);
        });
    }

    /// The edge's first word on a new link: whom it holds. It is one message, and the core answers it at once with
    /// what it serves: an account known to the core before that could be told of a fact behind the hole that
    /// nobody has announced yet.
    fn linked(&mut self, edge: usize, node: usize) {
        let (held, watched) = (self.edges[edge].held(), self.edges[edge].watched());
        self.send_to_node(edge, node, move |world| {
            for account in held {
                world.route(node, edge, account, true);
            }
            for account in watched {
                // What was told while there was no link was told to nobody.
                world.watch_at(node, edge, account, true);
                world.nodes[node].presence.change(account);
            }
            let served: Vec<(Slot, N)> = world.nodes[node]
                .rulers
                .iter()
                .filter_map(|(&slot, ruler)| Some((slot, ruler.serves_from?)))
                .collect();
            for (slot, from) in served {
                world.send_to_edge(node, edge, ToEdge::Serves { slot, from, hole: true });
            }
        });
    }

    /// A core serves a slot from now on.
    pub(super) fn announce(&mut self, node: usize, slot: Slot, is_first: bool) {
        let Some(from) = self.nodes[node].rulers[&slot].serves_from else { return };
        for edge in 0..self.edges.len() {
            self.send_to_edge(node, edge, ToEdge::Serves { slot, from, hole: !is_first });
        }
    }

    /// Over the link to a core, in order, if it holds until then.
    pub(super) fn send_to_node(
        &mut self,
        edge: usize,
        node: usize,
        arrive: impl FnOnce(&mut World) + 'static,
    ) -> bool {
        self.send_over((edge, node), |link| &mut link.to_node_at, arrive)
    }

    /// Over the link to an edge, in order, if it holds until then.
    pub(super) fn send_to_edge(&mut self, node: usize, edge: usize, what: ToEdge) {
        self.send_over(
            (edge, node),
            |link| &mut link.to_edge_at,
            move |world| world.edge_hears(edge, node, what),
        );
    }

    fn send_over(
        &mut self,
        ends: (usize, usize),
        last_at: fn(&mut Link) -> &mut u64,
        arrive: impl FnOnce(&mut World) + 'static,
    ) -> bool {
        let delay = self.link_delay();
        let now = self.now;
        let link = self.links.entry(ends).or_default();
        if !link.up {
            return false;
        }
        let epoch = link.epoch;
        let at = last_at(link);
        *at = (*at).max(now + delay);
        let wait = *at - now;
        self.after(wait, move |world| {
            let link = &world.links[&ends];
            let is_cut = link.cut_until > world.now;
            if !link.up || link.epoch != epoch {
                return;
            }
            if is_cut {
                return world.unlink(ends.0, ends.1);
            }
            arrive(world);
        });
        true
    }
}
