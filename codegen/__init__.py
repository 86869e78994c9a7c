"""The code generator: from the OpenAPI documents to models, resource classes and the table of operations."""
