//! Webhooks: the pure parts by laws and tables, the exchange against hostile endpoints, and the
//! whole over loopback.

mod exchange;
mod guard;
mod machine;
mod public;
mod whole;
