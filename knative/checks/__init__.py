"""What knative/check looks at."""
