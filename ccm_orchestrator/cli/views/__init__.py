"""What a person sees: every function takes the API's JSON and gives something to print."""
