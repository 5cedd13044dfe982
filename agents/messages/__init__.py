"""What agents say: ACL messages, their FIPA text, their signatures."""
