"""The stand-in for Supabase Realtime: `server.RealtimeServer`."""
