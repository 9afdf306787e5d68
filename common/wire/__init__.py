"""What two machines say to each other. One type per message, validated once, at the edge; OpenAPI is made from the
same types.

Unknown keys are ignored and a known key of a wrong type is refused. Times are RFC 3339 UTC with `Z`, sizes bytes, rates
bytes per second.
"""
