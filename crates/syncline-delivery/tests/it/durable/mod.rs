//! Durable subscriptions: the window alone, and over a node.

mod node;
mod simulation;
mod window;
