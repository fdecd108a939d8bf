"""Where only visited states are evaluated: places, walks, residuals along them."""
