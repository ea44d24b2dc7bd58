"""Language models as policies over slots. Knows nothing of RL; torch and transformers are imported when a model is loaded."""
