//! Documents that several workers do: what is told to a lead and to its helpers, and when a part ends. Who has which part is
//! in [`super::parts`].

mod end;
mod give;
mod lead;

pub(super) use end::{Why, end, end_soon, prune, sweep};
pub(super) use give::give_out;
pub(super) use lead::{offer, remind_lead};
