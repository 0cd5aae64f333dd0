//! Documents that several workers do: what is sent to a lead and to its helpers, and when a part ends. Who has which part is
//! in [`super::parts`].

mod assign;
mod end;
mod lead;

pub(super) use assign::assign_parts;
pub(super) use end::{PartEnd, end, end_soon, prune_ended, sweep};
pub(super) use lead::{offer, remind_lead};
