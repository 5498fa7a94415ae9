"""Long life and overload: a service under churn for as long as asked, and beside floods."""
