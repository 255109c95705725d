"""What `doctor` looks at. Each finding says what is wrong and what to do about it."""
