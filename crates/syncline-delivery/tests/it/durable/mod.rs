//! Durable subscriptions: the window alone, and over a node.

pub mod node;
mod simulation;
mod window;
