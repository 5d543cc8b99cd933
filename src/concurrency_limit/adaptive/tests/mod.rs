mod overload;
mod simulation;
