"""OpenAPI document of the admin port."""
