//! Tokens: a JWT in, an [`Identity`] out. Used by the server and the bridge, so that both judge a token alike.
//!
//! Knows nothing of gRPC, and of HTTP only that keys can be fetched by it.

mod claims;
pub mod issuer;
mod keyring;
pub mod keys;
mod refusal;
pub mod secret;
mod source;
pub mod token;
mod verified;
pub mod verifier;

pub use issuer::{Issuer, Trust, TrustError};
pub use secret::Secret;
pub use token::{Identity, Role, SignError, Signer, TokenError};
pub use verifier::Verifier;
