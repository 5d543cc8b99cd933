//! What the RFCs demand, by section.

#[cfg(feature = "gateway-proxy")]
mod section_7_2;
#[cfg(feature = "gateway-proxy")]
mod section_7_6;
