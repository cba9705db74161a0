"""A simulated Salesforce org: OAuth, SOAP login, REST, SOQL, limits and scripted faults."""
