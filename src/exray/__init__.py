"""See what a neural network really did on the device."""
