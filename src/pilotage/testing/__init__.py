"""Public fakes of every port."""
