//! Tokens: a JWT in, an [`Identity`] out. Used by the server and the bridge, so that both judge a token alike.
//!
//! Knows nothing of HTTP or gRPC.

pub mod secret;
pub mod token;

pub use secret::Secret;
pub use token::{Identity, Role, SignError, Signer, TokenError, Verifier};
