//! Whom something is sent to.

/// Whom something is sent to; one at a time for each key.
pub trait Target: Clone + Send + Sync + 'static {
    /// Unique among the targets of a courier.
    fn key(&self) -> &str;

    /// Whose it is: each user has slots of its own.
    fn owner(&self) -> &str;

    /// Those of one host share slots.
    fn host(&self) -> String;

    /// Whether it is tried at once although it waits to be tried again: its owner has asked for it.
    fn is_urgent(&self) -> bool {
        false
    }
}
